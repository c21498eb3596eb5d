//! The `chacha` command.

/// Gives memory back within seconds after a flood; glibc keeps what its many heaps once had. Where pages may have
/// another size than on the building machine, that of the system is safer.
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    chacha::cli::main()
}
