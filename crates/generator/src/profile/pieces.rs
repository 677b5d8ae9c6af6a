//! Profile shapes that consist of many pieces.

use super::schedule::Piece;

/// Linear pieces per wave; the largest error is `amplitude · (2π/128)²/8`, 0.03 % of the amplitude.
const SINE_PIECES: usize = 128;
/// Number of steps of the profile `thesis` from 0 to its maximum: each adds 5 %.
const THESIS_STEPS: f64 = 20.0;

pub(super) const fn flat(rate: f64, duration_s: f64) -> Piece {
    Piece { from_rate: rate, to_rate: rate, duration_s }
}

pub(super) fn thesis(low: f64, maximum: f64, interval_s: f64) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut current = low;
    while current < maximum {
        pieces.push(flat(current, interval_s));
        current = low + pieces.len() as f64 * (maximum / THESIS_STEPS);
    }
    pieces.push(flat(maximum, interval_s));
    pieces
}

/// Builds one wave by rotating a unit vector: the last bits of the library's sine depend on the platform.
pub(super) fn sine(mean: f64, amplitude: f64, period_s: f64) -> Vec<Piece> {
    let (step_cos, step_sin) = turn(SINE_PIECES);
    let rate = |sine: f64| (mean + amplitude * sine).max(0.0);
    let (mut cos, mut sin) = (1.0_f64, 0.0_f64);
    let mut pieces = Vec::with_capacity(SINE_PIECES);
    for _ in 0..SINE_PIECES {
        let from_rate = rate(sin);
        (cos, sin) = (cos * step_cos - sin * step_sin, sin * step_cos + cos * step_sin);
        pieces.push(Piece { from_rate, to_rate: rate(sin), duration_s: period_s / SINE_PIECES as f64 });
    }
    pieces
}

/// Returns cosine and sine of a full turn divided by a power of two, by repeated halving.
fn turn(parts: usize) -> (f64, f64) {
    let (mut cos, mut sin, mut done) = (0.0_f64, 1.0_f64, 4);
    while done < parts {
        (cos, sin) = (((1.0 + cos) / 2.0).sqrt(), sin / (2.0 * ((1.0 + cos) / 2.0).sqrt()));
        done *= 2;
    }
    (cos, sin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_is_the_sine() {
        for (index, piece) in sine(100.0, 40.0, 10.0).iter().enumerate() {
            let angle = std::f64::consts::TAU * index as f64 / SINE_PIECES as f64;
            assert!((piece.from_rate - (100.0 + 40.0 * angle.sin())).abs() < 1e-9, "piece {index}");
        }
    }
}
