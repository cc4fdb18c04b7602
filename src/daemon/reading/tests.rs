use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

use super::*;

/// A disk that answers some readings only when it is dropped. What is read is
/// the number of the reading.
struct Disk {
    begun: Arc<AtomicUsize>,
    _silence: mpsc::Sender<()>,
}

impl Disk {
    fn that_hangs(times: usize) -> (Self, Reading<usize>) {
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&begun);
        let (silence, never) = mpsc::channel();
        let never = Mutex::new(never);
        let mut reading = Reading::of(move || {
            let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
            if number <= times {
                let _ = never.lock().unwrap().recv();
            }
            Ok(number)
        });
        reading.slow = Duration::from_millis(5);
        reading.long = Duration::from_millis(20);
        let disk = Self {
            begun,
            _silence: silence,
        };
        (disk, reading)
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

/// Nothing ends for several times as long as a reading is waited for.
async fn nothing_ends(reading: &mut Reading<usize>) {
    let time = reading.long * 10;
    let ended = tokio::time::timeout(time, reading.ended()).await;
    assert!(ended.is_err(), "{ended:?}");
}

async fn read(reading: &mut Reading<usize>) -> usize {
    let time = Duration::from_secs(60);
    let ended = tokio::time::timeout(time, reading.ended()).await;
    ended.expect("an end").unwrap().unwrap()
}

#[tokio::test]
async fn who_asks_while_one_is_under_way_gets_one_more() {
    let (disk, mut reading) = Disk::that_hangs(0);
    nothing_ends(&mut reading).await;
    assert_eq!(disk.begun(), 0);
    reading.ask();
    reading.ask();
    reading.ask();
    assert_eq!(read(&mut reading).await, 1);
    assert_eq!(read(&mut reading).await, 2);
    assert!(!reading.is_under_way());
    nothing_ends(&mut reading).await;
}

#[tokio::test]
async fn one_that_hangs_is_given_up_when_somebody_asks() {
    let (disk, mut reading) = Disk::that_hangs(1);
    reading.ask();
    // Whoever writes to a pipe may take their time.
    nothing_ends(&mut reading).await;
    assert_eq!(disk.begun(), 1);
    reading.ask();
    assert_eq!(read(&mut reading).await, 2);
    assert!(!reading.is_under_way());
    drop(disk);
    // What the first one reads in the end is of no interest.
    nothing_ends(&mut reading).await;
    reading.ask();
    assert_eq!(read(&mut reading).await, 3);
}

#[tokio::test]
async fn who_has_asked_early_need_not_ask_again() {
    let (_disk, mut reading) = Disk::that_hangs(1);
    reading.ask();
    reading.ask();
    assert_eq!(read(&mut reading).await, 2);
    nothing_ends(&mut reading).await;
}

#[tokio::test]
async fn readings_that_hang_do_not_become_ever_more() {
    let (disk, mut reading) = Disk::that_hangs(usize::MAX);
    for _ in 0..GIVEN_UP_AT_MOST + 3 {
        reading.ask();
        nothing_ends(&mut reading).await;
    }
    assert_eq!(disk.begun(), 1 + GIVEN_UP_AT_MOST);
    drop(disk);
    // Either the one that is still waited for, or the one that takes its place
    // as soon as there are fewer.
    read(&mut reading).await;
}
