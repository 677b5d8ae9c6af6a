//! Benchmark of one fetch against the reference implementation and, where it is given, go-whisper; and against what the system calls
//! cost alone. CPU time, not elapsed time, because the machine may be busy. The others run in processes of their own; rounds
//! alternate, and medians are reported. The reference is installed into the testbed's cache.
//!
//! `cargo bench -p whisper --bench fetch` (or `scripts/benchmark-whisper.sh`); `--rounds N` for other than 11; `--go-whisper PROGRAM`
//! for a program built from `peers/go-whisper`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints its table and fails loudly"
)]

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::time::{ClockId, clock_gettime};
use testbed::process::Launcher;
use testbed::{PythonSet, TestbedSettings, provide_python};
use whisper::{Range, fetch};

const REFERENCE: PythonSet = PythonSet { name: "whisper", requirements: "whisper==1.1.10\n" };
const NOW: i64 = 1_700_000_000;
const ROUNDS: usize = 11;
/// Points, repetitions of the others, repetitions in Rust.
const CASES: [(i64, u32, u32); 2] = [(12, 2_000, 20_000), (8_000, 40, 2_000)];
/// Size of the header of a file with two archives, and of a point, in bytes.
const HEADER_BYTES: usize = 40;
const POINT_BYTES: usize = 12;

/// Returns the CPU time of this process, ns.
fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap();
    time.tv_sec() as f64 * 1e9 + time.tv_nsec() as f64
}

/// Another implementation, in a process of its own.
struct Peer {
    name: String,
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it; its first line is `ready` with its version.
    fn start(name: &str, command: &mut Command, file: &Path) -> Self {
        let command = command.arg(file).arg(NOW.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (questions, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut peer = Peer { name: name.to_owned(), child, questions, answers: BufReader::new(answers) };
        let ready = peer.line();
        peer.name = format!("{name} {}", ready.strip_prefix("ready ").unwrap());
        peer
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

    fn end(mut self) {
        drop(self.questions);
        self.child.wait().unwrap();
    }
}

/// CPU time of a repetition, ns.
fn per_repetition(repetitions: u32, mut work: impl FnMut()) -> f64 {
    let before = cpu_ns();
    for _ in 0..repetitions {
        work();
    }
    (cpu_ns() - before) / f64::from(repetitions)
}

fn measure_ours(file: &Path, points: i64, repetitions: u32) -> f64 {
    let range = Range { from: NOW - 10 * points, until: NOW, now: NOW };
    per_repetition(repetitions, || {
        let series = black_box(fetch(black_box(file), range).unwrap().unwrap());
        assert!(series.values.len() == usize::try_from(points).unwrap());
    })
}

/// What no implementation that opens the file for each fetch can undercut: header and points are read, and not looked at.
fn measure_reads(file: &Path, points: i64, repetitions: u32) -> f64 {
    let mut header = [0; HEADER_BYTES];
    let mut bytes = vec![0; usize::try_from(points).unwrap() * POINT_BYTES];
    per_repetition(repetitions, || {
        let file = File::open(black_box(file)).unwrap();
        file.read_exact_at(&mut header, 0).unwrap();
        file.read_exact_at(black_box(&mut bytes), HEADER_BYTES as u64).unwrap();
    })
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

fn option(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

/// Prints the CPU time of one case, and as a multiple of ours.
fn show(name: &str, points: i64, times: &[f64], ours: &[f64]) {
    let ratios: Vec<f64> = times.iter().zip(ours).map(|(time, ours)| time / ours).collect();
    let (least, most) =
        ratios.iter().fold((f64::MAX, 0.0_f64), |(low, high), of| (low.min(*of), high.max(*of)));
    println!(
        "| {points} points | {name} | {:.2} us | {:.2} ({least:.2} to {most:.2}) |",
        median(times.to_vec()) / 1e3,
        median(ratios)
    );
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("series.wsp");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/reference.py");
    // The reference makes the file.
    let mut peers = vec![Peer::start("whisper", Command::new(provide()).arg(script), &file)];
    if let Some(program) = option("--go-whisper") {
        peers.push(Peer::start("go-whisper", &mut Command::new(program), &file));
    }
    let rounds = option("--rounds").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    println!("| case | implementation | CPU time of a fetch | times ours |\n|---|---|---|---|");
    for (points, repetitions, our_repetitions) in CASES {
        let (mut ours, mut reads, mut theirs) = (Vec::new(), Vec::new(), vec![Vec::new(); peers.len()]);
        // The first round warms caches up.
        for round in 0..=rounds {
            let figures = (
                measure_ours(&file, points, our_repetitions),
                measure_reads(&file, points, our_repetitions),
                peers.iter_mut().map(|peer| peer.measure(points, repetitions)).collect::<Vec<f64>>(),
            );
            if round > 0 {
                ours.push(figures.0);
                reads.push(figures.1);
                theirs.iter_mut().zip(figures.2).for_each(|(all, figure)| all.push(figure));
            }
        }
        show("ours", points, &ours, &ours);
        show("open, two reads, close", points, &reads, &ours);
        for (peer, theirs) in peers.iter().zip(&theirs) {
            show(&peer.name, points, theirs, &ours);
        }
    }
    peers.into_iter().for_each(Peer::end);
}
