//! The program: does what was asked and returns its exit code.

fn main() -> std::process::ExitCode {
    haystack::cli::main()
}
