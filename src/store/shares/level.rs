//! Water filling: a supply that is divided among demands so that nobody gets less for another one's more.

/// What each of the demands gets of `supply`, all weights being equal.
pub(super) fn divide(mut supply: u64, demands: &mut [(u64, u32)], mut give: impl FnMut(u32, u64)) {
    demands.sort_unstable();
    for at in 0..demands.len() {
        let (demand, who) = demands[at];
        let part = demand.min(supply / (demands.len() - at) as u64);
        supply -= part;
        give(who, part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(supply: u64, demands: &[u64]) -> Vec<u64> {
        let mut all: Vec<_> = demands.iter().copied().zip(0..).collect();
        let mut parts = vec![0; demands.len()];
        divide(supply, &mut all, |who, part| parts[who as usize] = part);
        parts
    }

    #[test]
    fn small_demands_are_met_and_the_rest_is_divided_evenly() {
        assert_eq!(divided(100, &[10, 70, 60]), [10, 45, 45]);
        assert_eq!(divided(100, &[30, 30]), [30, 30]);
        assert_eq!(divided(9, &[u64::MAX, 5, 5]), [3, 3, 3]);
        assert_eq!(divided(0, &[5]), [0]);
        assert_eq!(divided(7, &[]), [0; 0]);
    }
}
