// SPDX-License-Identifier: ISC
//! One measured run of Tokio's spawn_blocking; the words of the command line are
//! those of pool_child.c.
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn job(ns: u64) {
    let until = Instant::now() + Duration::from_nanos(ns);
    while ns > 0 && Instant::now() < until {}
}

async fn run(window: i64, jobs: i64, work: u64) {
    let left = Arc::new(AtomicI64::new(jobs));
    let chains: Vec<_> = (0..window)
        .map(|_| {
            let left = left.clone();
            tokio::spawn(async move {
                while left.fetch_sub(1, Relaxed) > 0 {
                    tokio::task::spawn_blocking(move || job(work)).await.unwrap();
                }
            })
        })
        .collect();
    for chain in chains {
        chain.await.unwrap();
    }
}

fn main() {
    let words: Vec<i64> = std::env::args().skip(1).map(|w| w.parse().unwrap()).collect();
    let (workers, window, jobs, work) = (words[1], words[2], words[3], words[4] as u64);
    let jobs = jobs.max(window);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(workers as usize)
        .build()
        .unwrap();
    runtime.block_on(async {
        run(window, 4 * window, work).await; // workers start
        let began = Instant::now();
        run(window, jobs, work).await;
        println!("{} 0 0 0", began.elapsed().as_nanos() as f64 / jobs as f64);
    });
}
