//! Benchmark of one fetch against the reference implementation: CPU time, not elapsed time, because the machine may be
//! busy. Python's loop runs in one process and Rust's in another; rounds alternate, and medians are reported. The
//! reference is installed into the testbed's cache.
//!
//! `cargo bench -p whisper --bench fetch` (or `scripts/benchmark-whisper.sh`); `--rounds N` for other than 11.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints its table and fails loudly"
)]

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::time::{ClockId, clock_gettime};
use testbed::process::Launcher;
use testbed::{PythonSet, TestbedSettings, provide_python};
use whisper::{Range, fetch};

const REFERENCE: PythonSet = PythonSet { name: "whisper", requirements: "whisper==1.1.10\n" };
const NOW: i64 = 1_700_000_000;
const ROUNDS: usize = 11;
/// Points, repetitions in Python, repetitions in Rust.
const CASES: [(i64, u32, u32); 2] = [(12, 2_000, 20_000), (8_000, 40, 2_000)];

/// Returns the CPU time of this process, ns.
fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap();
    time.tv_sec() as f64 * 1e9 + time.tv_nsec() as f64
}

struct Python {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Python {
    fn start(python: &Path, file: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/reference.py");
        let mut child = Command::new(python)
            .arg(script)
            .arg(file)
            .arg(NOW.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (questions, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut python = Self { child, questions, answers: BufReader::new(answers) };
        assert_eq!(python.line(), "ready");
        python
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Measures the CPU time per fetch, ns.
    fn measure(&mut self, points: i64, repetitions: u32) -> f64 {
        writeln!(self.questions, "{points} {repetitions}").unwrap();
        self.line().parse().unwrap()
    }
}

fn measure_ours(file: &Path, points: i64, repetitions: u32) -> f64 {
    let range = Range { from: NOW - 10 * points, until: NOW, now: NOW };
    let before = cpu_ns();
    for _ in 0..repetitions {
        let series = black_box(fetch(black_box(file), range).unwrap().unwrap());
        assert!(series.values.len() == usize::try_from(points).unwrap());
    }
    (cpu_ns() - before) / f64::from(repetitions)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::main(flavor = "current_thread")]
async fn provide() -> PathBuf {
    let config = TestbedSettings::default().check().unwrap();
    let launcher = Launcher::new().unwrap();
    provide_python(&config, REFERENCE, &launcher, &|line| println!("{line}")).await.unwrap()
}

fn rounds() -> usize {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--rounds");
    arguments.nth(1).map_or(ROUNDS, |rounds| rounds.parse().unwrap())
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("series.wsp");
    let mut python = Python::start(&provide(), &file);
    for (points, pythons, ours) in CASES {
        let (mut reference, mut own) = (Vec::new(), Vec::new());
        // The first round warms caches up.
        for round in 0..=rounds() {
            let pair = (python.measure(points, pythons), measure_ours(&file, points, ours));
            if round > 0 {
                reference.push(pair.0);
                own.push(pair.1);
            }
        }
        let ratios = reference.iter().zip(&own).map(|(reference, own)| reference / own);
        let (least, most) =
            ratios.fold((f64::MAX, 0.0_f64), |(least, most), ratio| (least.min(ratio), most.max(ratio)));
        let (reference, own) = (median(reference), median(own));
        println!(
            "{points} points: Python {:.1} us, ours {:.2} us of CPU time per fetch: {:.1} times ({least:.1} to {most:.1})",
            reference / 1e3,
            own / 1e3,
            reference / own
        );
    }
    drop(python.questions);
    python.child.wait().unwrap();
}
