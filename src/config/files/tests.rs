use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Instant;

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn refused(path: &Path) -> String {
    secret(path).unwrap_err().to_string()
}

#[test]
fn a_secret_is_read_through_links_as_kubernetes_makes_them() {
    let folder = folder();
    let data = folder.path().join("..data");
    let version = folder.path().join("..2026");
    fs::create_dir(&version).unwrap();
    fs::write(version.join("secret"), "s3\n").unwrap();
    symlink("..2026", &data).unwrap();
    let path = folder.path().join("secret");
    symlink("..data/secret", &path).unwrap();
    assert_eq!(secret(&path).unwrap().expose_secret(), "s3\n");
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let folder = folder();
    let path = folder.path().join("pipe");
    pipe(&path);
    assert_eq!(refused(&path), "it is a pipe and no regular file");
    assert_eq!(
        refused(folder.path()),
        "it is a directory and no regular file"
    );
    let endless = folder.path().join("endless");
    symlink("/dev/zero", &endless).unwrap();
    assert_eq!(refused(&endless), "it is a device and no regular file");
    let roots = certificates(&path).unwrap_err().to_string();
    assert_eq!(roots, "it is a pipe and no regular file");
}

#[test]
fn a_file_that_is_too_large_or_no_text_is_refused() {
    let folder = folder();
    let path = folder.path().join("secret");
    fs::write(&path, vec![b'a'; 64 << 10]).unwrap();
    assert_eq!(secret(&path).unwrap().expose_secret().len(), 64 << 10);
    fs::write(&path, vec![b'a'; (64 << 10) + 1]).unwrap();
    assert_eq!(refused(&path), "it has more than 64 KiB");
    fs::write(&path, [b'a', 0xff]).unwrap();
    assert_eq!(refused(&path), "it is not UTF-8");
    let missing = secret(&folder.path().join("none")).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}

#[test]
fn settings_without_an_end_do_not_fill_the_memory() {
    let error = settings(Path::new("/dev/zero")).unwrap_err();
    assert_eq!(error.to_string(), "it has more than 16384 KiB");
    assert_eq!(settings(Path::new("/dev/null")).unwrap(), "");
}

#[test]
fn settings_come_from_a_pipe_and_go_to_one_reader() {
    let folder = folder();
    let path = folder.path().join("pipe");
    pipe(&path);
    let only = OnlyReader::of(&path).unwrap();
    let second = settings(&path).unwrap_err().to_string();
    assert!(
        second.contains("an earlier reading still waits"),
        "{second}"
    );
    drop(only);
    let reading = {
        let path = path.clone();
        thread::spawn(move || settings(&path))
    };
    fs::write(&path, "a: 1\n").unwrap();
    assert_eq!(reading.join().unwrap().unwrap(), "a: 1\n");
}

#[test]
fn a_disk_that_does_not_answer_is_given_up_and_asked_no_more_until_it_does() {
    let folder = folder();
    let path = folder.path().join("secret");
    fs::write(&path, "s3").unwrap();
    let (answer, answers) = mpsc::channel::<()>();
    let hung = in_time(&path, Duration::from_millis(20), move |_| {
        let _ = answers.recv();
        Ok(b"late".to_vec())
    });
    let error = hung.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "it did not answer within 20ms");
    assert_eq!(
        refused(&path),
        "it still does not answer an earlier reading"
    );
    let other = folder.path().join("other");
    fs::write(&other, "s4").unwrap();
    assert_eq!(secret(&other).unwrap().expose_secret(), "s4");

    drop(answer);
    let begun = Instant::now();
    let read = loop {
        match secret(&path) {
            Ok(read) => break read,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(60), "{error}"),
        }
        thread::yield_now();
    };
    assert_eq!(read.expose_secret(), "s3");
}

#[test]
fn a_file_that_hangs_is_asked_ever_more_seldom_and_by_a_bounded_number() {
    let last = Instant::now();
    let asked_after = |many, seconds| {
        let later = last + Duration::from_secs(seconds);
        !GivenUp { many, last }.rests(later)
    };
    assert!(!asked_after(1, 59) && asked_after(1, 60));
    assert!(!asked_after(2, 119) && asked_after(2, 120));
    let most = GIVEN_UP_AT_MOST - 1;
    assert!(!asked_after(most, 3_599) && asked_after(most, 3_600));
    assert!(!asked_after(GIVEN_UP_AT_MOST, 1_000_000));
}
