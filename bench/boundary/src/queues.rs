//! What the queue itself costs: Mutex<Vec> taken whole, against the queues of crossbeam, with 1 and 4 producers.
use crossbeam_queue::{ArrayQueue, SegQueue};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

const EVENTS: usize = 1_000_000;

/// About the size of an event of the engine.
type Item = [u64; 16];

fn run(
    producers: usize,
    push: impl Fn(Item) -> bool + Sync,
    mut drain: impl FnMut() -> usize,
) -> f64 {
    let (started, push, done) = (Instant::now(), &push, AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..producers {
            scope.spawn(move || {
                for number in 0..EVENTS / producers {
                    while !push([number as u64; 16]) {
                        std::thread::yield_now();
                    }
                }
            });
        }
        let mut seen = 0;
        while seen < EVENTS {
            let taken = drain();
            seen += taken;
            if taken == 0 {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    started.elapsed().as_nanos() as f64 / EVENTS as f64
}

fn median(mut measure: impl FnMut() -> f64) -> f64 {
    let mut runs: Vec<f64> = (0..5).map(|_| measure()).collect();
    runs.sort_by(f64::total_cmp);
    runs[2]
}

fn main() {
    for producers in [1, 4] {
        let vector = median(|| {
            let queue = Mutex::new(Vec::new());
            let mut taken: Vec<Item> = Vec::new();
            let push = |item| {
                let mut queue = queue.lock().unwrap();
                let fits = queue.len() < 65_536;
                if fits {
                    queue.push(item);
                }
                fits
            };
            run(producers, push, || {
                taken.clear();
                std::mem::swap(&mut taken, &mut *queue.lock().unwrap());
                taken
                    .iter()
                    .map(|item| usize::from(item[0] < u64::MAX))
                    .sum()
            })
        });
        let array = median(|| {
            let queue = Arc::new(ArrayQueue::new(65_536));
            let producer = Arc::clone(&queue);
            run(
                producers,
                move |item| producer.push(item).is_ok(),
                || usize::from(queue.pop().is_some()),
            )
        });
        let segments = median(|| {
            let queue = SegQueue::new();
            let push = |item| {
                queue.push(item);
                true
            };
            run(producers, push, || usize::from(queue.pop().is_some()))
        });
        println!("{producers} {vector:.0} {array:.0} {segments:.0}");
    }
}
