//! The `chacha` command.

fn main() -> std::process::ExitCode {
    chacha::cli::main()
}
