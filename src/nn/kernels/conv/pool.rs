//! What follows a convolution's sums: scale and shift, max pool, rectifier; and their gradient.
//!
//! The rectifiers never decrease, so they may follow the pooling, which leaves fewer values to rectify.

// As a branch a choice would keep loops from becoming vector instructions.
use std::hint::select_unpredictable as select;

use super::super::element::Element;

/// Windows of 2 × 2 that are pooled together.
const FOURS: usize = 32;

/// A function of single values that never decreases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rectifier {
    /// x itself.
    Identity,
    /// max(0, x), with gradient 0 at 0.
    Relu,
    /// x above 0, `slope`·x elsewhere; the slope is not negative.
    Leaky { slope: f64 },
}

impl Rectifier {
    pub fn prepared<T: Element>(self) -> Prepared<T> {
        let (below, is_zero_below) = match self {
            Self::Identity => (1.0, false),
            Self::Relu => (0.0, true),
            Self::Leaky { slope } => (slope, false),
        };
        Prepared {
            below: T::from_f64(below),
            is_zero_below,
        }
    }
}

/// A [`Rectifier`] without cases, so that loops over it become vector instructions.
#[derive(Clone, Copy)]
pub struct Prepared<T> {
    /// The slope below 0.
    below: T,
    /// Zero, also where the argument is infinite.
    is_zero_below: bool,
}

impl<T: Element> Prepared<T> {
    /// NaN stays.
    #[inline(always)]
    pub fn value(self, x: T) -> T {
        let low = select(self.is_zero_below, T::zero(), self.below * x);
        select(x < T::zero(), low, x)
    }

    /// `gradient` times the derivative where the function's value, or its argument, is `x`: they have one sign.
    #[inline(always)]
    pub fn back(self, x: T, gradient: T) -> T {
        let low = select(self.is_zero_below, T::zero(), self.below * gradient);
        select(x > T::zero(), gradient, low)
    }
}

/// What is done with one plane of sums `y`: rectifier(max pool(scale · y + shift)).
#[derive(Clone, Copy)]
pub struct Finish<T> {
    pub scale: T,
    pub shift: T,
    /// Rows and columns of the windows, which lie side by side.
    pub window: (usize, usize),
    pub rectifier: Prepared<T>,
}

/// The results of some rows of windows; `won` and `place` are empty where nobody asks for them.
pub struct Finished<'a, T> {
    pub out: &'a mut [T],
    /// The sum that won its window.
    pub won: &'a mut [T],
    /// Where in the window it stood, row by row.
    pub place: &'a mut [u8],
}

impl<T: Element> Finish<T> {
    /// `sums`: rows of `columns` values, each `width` from the row before. `out_columns` windows in each row of windows.
    #[inline(always)]
    pub fn rows(&self, sums: &[T], width: usize, out_columns: usize, done: &mut Finished<T>) {
        let Finished { out, won, place } = done;
        let window_rows = self.window.0;
        for (index, out) in out.chunks_mut(out_columns.max(1)).enumerate() {
            let rows = &sums[index * window_rows * width..];
            let at = index * out_columns;
            match self.window {
                (1, 1) => {
                    for (out, &sum) in out.iter_mut().zip(rows) {
                        *out = self.rectifier.value(sum * self.scale + self.shift);
                    }
                    if let Some(won) = won.get_mut(at..at + out_columns) {
                        won.copy_from_slice(&rows[..out_columns]);
                    }
                }
                (2, 2) => {
                    let (above, below) = (
                        rows[..2 * out_columns].as_chunks().0,
                        rows[width..][..2 * out_columns].as_chunks().0,
                    );
                    let won = won.get_mut(at..at + out_columns).unwrap_or_default();
                    let place = place.get_mut(at..at + out_columns).unwrap_or_default();
                    for first in (0..out_columns).step_by(FOURS) {
                        let some = first..(first + FOURS).min(out_columns);
                        let done = Finished {
                            out: &mut out[some.clone()],
                            won: won.get_mut(some.clone()).unwrap_or_default(),
                            place: place.get_mut(some.clone()).unwrap_or_default(),
                        };
                        self.fours(&above[some.clone()], &below[some], done);
                    }
                }
                _ => {
                    for (column, out) in out.iter_mut().enumerate() {
                        let (z, y, index) = self.largest(rows, width, column);
                        *out = self.rectifier.value(z);
                        if let Some(won) = won.get_mut(at + column) {
                            *won = y;
                        }
                        if let Some(place) = place.get_mut(at + column) {
                            *place = index;
                        }
                    }
                }
            }
        }
    }

    /// The first largest of a window: scaled and shifted, as it was, and where.
    #[inline(always)]
    fn largest(&self, rows: &[T], width: usize, column: usize) -> (T, T, u8) {
        let (window_rows, window_columns) = self.window;
        let mut best = rows[column * window_columns];
        let mut z = best * self.scale + self.shift;
        let mut place = 0;
        for row in 0..window_rows {
            for inside in 0..window_columns {
                let y = rows[row * width + column * window_columns + inside];
                let candidate = y * self.scale + self.shift;
                if wins(candidate, z) {
                    (best, z, place) = (y, candidate, (row * window_columns + inside) as u8);
                }
            }
        }
        (z, best, place)
    }

    /// At most [`FOURS`] windows of 2 × 2. Plain loops over one array each, which the compiler turns into vector instructions.
    #[inline(always)]
    fn fours(&self, above: &[[T; 2]], below: &[[T; 2]], done: Finished<T>) {
        let count = done.out.len();
        let mut sums = [[T::zero(); FOURS]; 4];
        let [a, b, c, d] = &mut sums;
        let [a, b, c, d] = [&mut a[..count], &mut b[..count], &mut c[..count], &mut d[..count]];
        let (above, below) = (&above[..count], &below[..count]);
        for at in 0..count {
            a[at] = above[at][0];
            b[at] = above[at][1];
        }
        for at in 0..count {
            c[at] = below[at][0];
            d[at] = below[at][1];
        }
        let scaled = |y: T| y * self.scale + self.shift;
        let mut largest = [T::zero(); FOURS];
        let largest = &mut largest[..count];
        for at in 0..count {
            let (first, second) = (
                larger(scaled(a[at]), scaled(b[at])),
                larger(scaled(c[at]), scaled(d[at])),
            );
            largest[at] = larger(first, second);
        }
        for (out, &largest) in done.out.iter_mut().zip(&*largest) {
            *out = self.rectifier.value(largest);
        }
        if !done.place.is_empty() {
            // Where nothing is equal, the largest is NaN, and so is its gradient wherever it goes.
            let place = &mut done.place[..count];
            for at in 0..count {
                let (z, z0, z1, z2) = (largest[at], scaled(a[at]), scaled(b[at]), scaled(c[at]));
                let later = select(z1 == z, 1, select(z2 == z, 2, 3));
                place[at] = select(z0 == z, 0, later);
            }
        }
        if !done.won.is_empty() {
            let won = &mut done.won[..count];
            for at in 0..count {
                let z = largest[at];
                let later = select(scaled(b[at]) == z, b[at], select(scaled(c[at]) == z, c[at], d[at]));
                won[at] = select(scaled(a[at]) == z, a[at], later);
            }
        }
    }
}

/// The larger one; NaN if there is one.
#[inline(always)]
#[allow(clippy::eq_op)] // NaN is the value that differs from itself
fn larger<T: Element>(a: T, b: T) -> T {
    select(a != a, a, select(a > b, a, b))
}

/// Whether a later value takes a window: of equal values the first wins, NaN wins over everything.
#[inline(always)]
#[allow(clippy::eq_op)] // NaN is the value that differs from itself
fn wins<T: Element>(candidate: T, best: T) -> bool {
    (candidate > best) | ((candidate != candidate) & (best == best))
}
