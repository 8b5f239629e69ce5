//! Jobs as child processes. The program is a shell script that stands in for ours, so that it can be
//! slow, fail and misbehave at will.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use haystack::domain::RunId;
use haystack::domain::run::JobHandle;
use haystack::executor::{Error, Executor, Job, JobStatus};
use tempfile::TempDir;

use crate::support::config;

/// An executor whose jobs run `script` with our arguments.
fn executor(folder: &Path, script: &str, variables: &[(&str, &str)]) -> Executor {
    let program = folder.join("program");
    if !program.exists() {
        write_program(&program, script);
    }
    Executor::local_program(&config(folder, variables), &program).unwrap()
}

/// Written by another process: a file that this one has open for writing, as a child forked by another
/// test may for a moment, cannot be started.
fn write_program(program: &Path, script: &str) {
    let write = "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"";
    let status = Command::new("sh").args(["-c", write, "sh"]).arg(program).arg(script).status().unwrap();
    assert!(status.success());
}

fn orchestrate() -> Job {
    Job::Orchestrate { run: "run_0123456789ab".parse().unwrap() }
}

fn infer(iteration: u32) -> Job {
    let run: RunId = "run_0123456789ab".parse().unwrap();
    Job::Infer { run, iteration, request: format!("batch-io/run_0123456789ab/iter_{iteration}/request.json") }
}

/// A test's folder, which is also where the script can leave notes.
fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(600), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[tokio::test]
async fn a_job_gets_our_arguments_and_its_words_go_to_a_log() {
    let folder = folder();
    let file = folder.path().join("mine.toml");
    fs::write(&file, "[jobs]\nslots = 2\n").unwrap();
    let executor =
        executor(folder.path(), "echo \"args: $*\"; echo said >&2", &[("HAYSTACK_CONFIG", file.to_str().unwrap())]);
    executor.run(&infer(3)).await.unwrap();
    let log = fs::read_to_string(folder.path().join("jobs/run_0123456789ab.iter_3.infer.log")).unwrap();
    let arguments = format!(
        "args: --tethered --config {} infer --request batch-io/run_0123456789ab/iter_3/request.json",
        file.display()
    );
    assert_eq!(log, format!("{arguments}\nsaid\n"));
}

#[tokio::test]
async fn a_failure_tells_the_exit_code_and_the_last_words() {
    let folder = folder();
    let script = "echo \"attempt $(cat \"$0.n\")\"; seq 100 >&2; echo 'Error: no such model' >&2; \
                  echo 'Hint: import it' >&2; exit $(cat \"$0.n\")";
    let executor = executor(folder.path(), script, &[]);
    for code in [1, 75] {
        fs::write(folder.path().join("program.n"), code.to_string()).unwrap();
        let error = executor.run(&orchestrate()).await.unwrap_err();
        assert_eq!(error.is_transient(), code == 75);
        let message = error.to_string();
        let expected =
            format!("the job of run_0123456789ab ended with exit code {code} (Error: no such model); its log");
        assert!(message.starts_with(&expected) && message.ends_with("run_0123456789ab.orchestrate.log"), "{message}");
        let Error::Failed { last, .. } = error else { panic!("{error:?}") };
        assert_eq!((last.len(), last[0].as_str(), last[19].as_str()), (20, "83", "Hint: import it"));
    }

    write_program(&folder.path().join("program"), "kill -KILL $$");
    let error = executor.run(&orchestrate()).await.unwrap_err();
    assert!(error.to_string().contains("signal 9") && error.is_transient(), "{error}");
    let Error::Failed { last, .. } = error else { panic!("{error:?}") };
    assert!(last.is_empty(), "words of an earlier attempt: {last:?}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let folder = folder();
    let missing = folder.path().join("missing");
    let executor = Executor::local_program(&config(folder.path(), &[]), &missing).unwrap();
    let error = executor.submit(&orchestrate()).await.unwrap_err().to_string();
    assert!(error.contains(missing.to_str().unwrap()) && error.contains("No such file"), "{error}");
}

#[tokio::test]
async fn submitting_does_not_wait_and_status_follows_the_job() {
    let folder = folder();
    let gate = folder.path().join("gate");
    let script = "while [ ! -e \"$0.gate\" ]; do sleep 0.05; done; exit 3";
    let executor = executor(folder.path(), script, &[]);
    let handle = executor.submit(&orchestrate()).await.unwrap();
    assert_eq!(executor.status(&handle).await.unwrap(), JobStatus::Running);
    // Another process sees it too.
    let other = self::executor(folder.path(), script, &[]);
    assert_eq!(other.status(&handle).await.unwrap(), JobStatus::Running);
    fs::write(gate.with_file_name("program.gate"), "").unwrap();
    let error = executor.wait(&handle).await.unwrap_err();
    assert!(matches!(error, Error::Failed { code: Some(3), .. }), "{error}");
    assert_eq!(executor.status(&handle).await.unwrap(), JobStatus::Failed);
    assert_eq!(other.status(&handle).await.unwrap(), JobStatus::Gone);
    assert!(matches!(other.wait(&handle).await, Err(Error::Gone(_))));
    let nonsense = JobHandle("batch:projects/p/jobs/j".into());
    assert!(executor.status(&nonsense).await.unwrap_err().to_string().contains("batch:projects"));
}

/// A job that ignores a polite request and has a child of its own.
const STUBBORN: &str =
    "trap '' TERM; sleep 300 & echo $! > \"$0.child\"; echo $$ > \"$0.pid\"; while :; do sleep 1; done";

#[tokio::test]
async fn cancelling_ends_the_job_and_what_it_started() {
    let variables = [("HAYSTACK__JOBS__GRACE_SECONDS", "1")];
    for by_another in [false, true] {
        let folder = folder();
        let note = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        let executor = executor(folder.path(), STUBBORN, &variables);
        let handle = executor.submit(&orchestrate()).await.unwrap();
        eventually("the job starts", || !note("program.pid").is_empty()).await;
        let (pid, child) = (note("program.pid"), note("program.child"));
        assert!(is_running(&pid) && is_running(&child));

        let canceller = if by_another { self::executor(folder.path(), "", &variables) } else { executor.clone() };
        canceller.cancel(&handle).await.unwrap();
        assert!(!is_running(&pid));
        eventually("the job's child ends", || !is_running(&child)).await;
        // Once more is fine.
        canceller.cancel(&handle).await.unwrap();
        let error = executor.wait(&handle).await.unwrap_err();
        match by_another {
            false => assert!(matches!(error, Error::Cancelled { .. }), "{error}"),
            true => assert!(matches!(error, Error::Failed { signal: Some(9), .. }), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_job_ends_when_nobody_waits_for_it_any_more() {
    let folder = folder();
    let executor = executor(folder.path(), STUBBORN, &[("HAYSTACK__JOBS__GRACE_SECONDS", "0")]);
    let note = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let job = infer(1);
    tokio::select! {
        outcome = executor.run(&job) => panic!("{outcome:?}"),
        () = eventually("the job starts", || !note("program.pid").is_empty()) => {}
    }
    eventually("the job ends", || !is_running(&note("program.pid"))).await;
    eventually("its child ends", || !is_running(&note("program.child"))).await;
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_stopped() {
    let folder = folder();
    let executor = executor(folder.path(), "exec sleep 300", &[("HAYSTACK__JOBS__INFER_TIMEOUT_SECONDS", "1")]);
    let error = executor.run(&infer(1)).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(error.to_string().contains("after 1 s, the most"), "{error}");
}

#[tokio::test]
async fn inference_jobs_share_the_slots_of_the_machine() {
    let folder = folder();
    // Each job notes how many are at work while it is; the first does not end before a second is.
    let script = "d=\"$0.d\"; mkdir -p \"$d\"; : > \"$d/$$\"; \
                  until [ -e \"$0.met\" ]; do [ $(ls \"$d\" | wc -l) -lt 2 ] || : > \"$0.met\"; sleep 0.05; done; \
                  ls \"$d\" | wc -l >> \"$0.most\"; rm \"$d/$$\"";
    let variables = [("HAYSTACK__JOBS__SLOTS", "2")];
    // Each executor counts for a process of its own.
    let executors: Vec<_> = (0..6).map(|_| executor(folder.path(), script, &variables)).collect();
    let jobs: Vec<_> = (0..6).map(infer).collect();
    let outcomes = futures::future::join_all(executors.iter().zip(&jobs).map(|(e, job)| e.run(job))).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let most = fs::read_to_string(folder.path().join("program.most")).unwrap();
    let most: Vec<u32> = most.lines().map(|line| line.trim().parse().unwrap()).collect();
    assert_eq!((most.len(), most.iter().max()), (6, Some(&2)), "{most:?}");
}

#[tokio::test]
async fn the_process_of_a_run_needs_no_slot() {
    let folder = folder();
    let executor = executor(folder.path(), "", &[("HAYSTACK__JOBS__SLOTS", "1")]);
    let slot = fs::File::create(folder.path().join("jobs/slots/0.lock")).unwrap();
    slot.lock().unwrap();
    // It waits for those that need one.
    executor.run(&orchestrate()).await.unwrap();
    let job = infer(1);
    let waiting = tokio::time::timeout(Duration::from_millis(500), executor.run(&job)).await;
    assert!(waiting.is_err(), "an inference job started without a slot: {waiting:?}");
    drop(slot);
    executor.run(&job).await.unwrap();
}

/// Runs in a process of its own, which the test below kills.
#[tokio::test]
async fn parent_to_be_killed() {
    let Some(folder) = std::env::var_os("HAYSTACK_TEST_PARENT").map(PathBuf::from) else { return };
    // As our own program does when it is tethered.
    let executor = executor(&folder, "echo $$ > \"$0.pid\"; cat > /dev/null; echo gone > \"$0.gone\"", &[]);
    let _ = executor.run(&infer(1)).await;
}

#[tokio::test]
async fn a_job_does_not_outlive_a_killed_parent() {
    let folder = folder();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "executor::parent_to_be_killed"])
        .env("HAYSTACK_TEST_PARENT", folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let note = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    eventually("the job starts", || !note("program.pid").is_empty()).await;
    assert!(is_running(&note("program.pid")));
    parent.kill().unwrap();
    parent.wait().unwrap();
    eventually("the job ends", || !note("program.gone").is_empty()).await;
    // Its slot is free again at once.
    let next = executor(folder.path(), "", &[]);
    write_program(&folder.path().join("program"), "");
    tokio::time::timeout(Duration::from_secs(600), next.run(&infer(2))).await.unwrap().unwrap();
}
