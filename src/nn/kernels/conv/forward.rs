//! The forward pass of a block.
//!
//! Passes over memory, where a batch norm is trained: the sums of the convolution (rectified, where that comes first) are written once
//! while their statistics are taken, and read once to be normalised, pooled and rectified. Where a sum has few taps (a first layer of one channel) it is cheaper to
//! compute it a second time than to write and read it. Without the statistics of a batch the sums never leave the cache.

use std::sync::OnceLock;

use rayon::prelude::*;

use super::super::batch_norm::BatchStatistics;
use super::super::element::{Element, sum};
use super::bands::{Band, Weights, for_each_band, scratch_len};
use super::correlate::pack;
use super::geometry::Sizes;
use super::pool::{Finish, Finished};
use super::staging::Staging;
use super::{Block, Norm, Rectifier, Wanted, winograd};
use crate::vector::on_vectors;

/// Up to so many taps the sums of a normalised block are computed anew each time they are needed.
const CHEAP_TAPS: usize = 32;

/// What a block is computed from.
#[derive(Clone, Copy)]
pub struct Inputs<'a, T> {
    /// `[batch, channels, rows, columns]`
    pub images: &'a [T],
    /// `[filters, group's channels, kernel rows, kernel columns]`
    pub kernel: &'a [T],
    /// `[filters]`
    pub bias: &'a [T],
    /// Gamma and beta, `[filters]` each, where there is a norm.
    pub affine: Option<(&'a [T], &'a [T])>,
}

/// What the backward pass needs of the forward pass. Empty where it is not needed.
pub struct Saved<T> {
    /// `[batch, filters, rows, columns]`: the convolution's sums, rectified where that comes first.
    pub sums: Vec<T>,
    /// Of each window the sum that won.
    pub won: Vec<T>,
    /// And where it stood.
    pub place: Vec<u8>,
    pub statistics: BatchStatistics,
}

/// Sizes after the pooling.
#[derive(Clone, Copy)]
pub struct Pooled {
    pub rows: usize,
    pub columns: usize,
}

impl Pooled {
    pub fn new(sizes: &Sizes, window: (usize, usize)) -> Self {
        Self {
            rows: sizes.out.0 / window.0,
            columns: sizes.out.1 / window.1,
        }
    }

    pub fn plane(&self) -> usize {
        self.rows * self.columns
    }
}

/// One block ready to be computed.
pub struct Forward<'a, T> {
    pub block: &'a Block,
    pub sizes: Sizes,
    pub staging: Staging,
    pub pooled: Pooled,
    pub inputs: Inputs<'a, T>,
    weights: OnceLock<Weights<T>>,
}

impl<'a, T: Element> Forward<'a, T> {
    pub fn new(block: &'a Block, sizes: Sizes, inputs: Inputs<'a, T>) -> Self {
        Self {
            block,
            sizes,
            staging: Staging::new(sizes),
            pooled: Pooled::new(&sizes, block.window),
            weights: OnceLock::new(),
            inputs,
        }
    }

    /// Made when first asked for: the backward pass seldom needs them.
    fn weights(&self) -> &Weights<T> {
        let sizes = &self.sizes;
        let taps = sizes.group_taps();
        self.weights.get_or_init(|| match winograd::applies(sizes) {
            true => Weights::Winograd(winograd::Kernels::new(
                sizes.filters,
                sizes.channels,
                |filter, channel| {
                    let of_pair = &self.inputs.kernel[filter * taps + 9 * channel..];
                    std::array::from_fn(|tap| of_pair[tap])
                },
            )),
            false => {
                let groups = self.inputs.kernel.chunks((sizes.group_filters() * taps).max(1));
                Weights::Shifted(groups.flat_map(|kernel| pack(kernel, taps)).collect())
            }
        })
    }

    /// Whether the sums are computed anew rather than kept.
    fn computes_anew(&self) -> bool {
        self.sizes.group_taps() <= CHEAP_TAPS && self.block.window != (1, 1)
    }

    pub fn image(&self, index: usize) -> &'a [T] {
        &self.inputs.images[index * self.sizes.image()..][..self.sizes.image()]
    }

    pub fn workspace(&self) -> Workspace<T> {
        Workspace {
            staged: vec![T::zero(); self.staging.len],
            scratch: vec![T::zero(); scratch_len(&self.sizes, &self.staging, self.block.window.0)],
            rectified: Vec::new(),
            space: winograd::Space::default(),
        }
    }

    /// Calls `visit` with every band of sums of an image that `workspace` holds, rectified where that comes first.
    #[inline(always)]
    pub fn for_each_band(&self, workspace: &mut Workspace<T>, mut visit: impl FnMut(Band<T>)) {
        let first = self.block.first();
        let operands = (workspace.staged.as_slice(), self.weights(), self.inputs.bias);
        let window = self.block.window.0;
        let rectified = &mut workspace.rectified;
        for_each_band(
            &self.sizes,
            &self.staging,
            operands,
            window,
            (&mut workspace.scratch, &mut workspace.space),
            |band| {
                if first == Rectifier::Identity {
                    return visit(band);
                }
                rectified.resize(rectified.len().max(band.sums.len()), T::zero());
                let sums = &mut rectified[..band.sums.len()];
                let prepared = first.prepared();
                // Into other places: values that may stay where they are become stores under a mask, which are slow.
                on_vectors(
                    #[inline(always)]
                    || {
                        for (target, &sum) in sums.iter_mut().zip(&*band.sums) {
                            *target = prepared.value(sum);
                        }
                    },
                );
                visit(Band { sums, ..band });
            },
        );
    }

    /// `[batch, filters, pooled rows, pooled columns]`, and what the backward pass needs.
    pub fn run(&self, keep: Option<Wanted>) -> (Vec<T>, Saved<T>) {
        match self.inputs.affine.filter(|_| self.block.norm != Some(Norm::Constant)) {
            None => {
                let constants = |filter: usize| {
                    let constants = self.inputs.affine.map(|(scale, shift)| (scale[filter], shift[filter]));
                    constants.unwrap_or((T::one(), T::zero()))
                };
                let (out, _, place) = self.finish(keep, &[], constants);
                let saved = Saved {
                    sums: Vec::new(),
                    won: Vec::new(),
                    place,
                    statistics: BatchStatistics::default(),
                };
                (out, saved)
            }
            Some(affine) => {
                let (sums, statistics) = self.measure();
                let (out, won, place) = self.finish(keep, &sums, |filter| {
                    self.block.normalization(&statistics, affine, filter)
                });
                let saved = Saved {
                    sums: match keep {
                        Some(_) => sums,
                        None => Vec::new(),
                    },
                    won,
                    place,
                    statistics,
                };
                (out, saved)
            }
        }
    }

    /// The sums (none where they are computed anew), and their statistics.
    fn measure(&self) -> (Vec<T>, BatchStatistics) {
        let sizes = &self.sizes;
        let image = sizes.filters * sizes.pixels();
        let mut sums = match self.computes_anew() {
            true => Vec::new(),
            false => vec![T::zero(); sizes.batch * image],
        };
        let mut kept: Vec<&mut [T]> = sums.chunks_mut(image.max(1)).collect();
        kept.resize_with(sizes.batch, Default::default);
        let of_images: Vec<Vec<[f64; 2]>> = kept
            .into_par_iter()
            .enumerate()
            .map_init(
                || self.workspace(),
                |workspace, (index, kept)| {
                    let mut moments = vec![[0.0; 2]; sizes.filters];
                    self.staging.stage(self.image(index), &mut workspace.staged);
                    self.for_each_band(workspace, |band| {
                        let [total, squares] = &mut moments[band.filter];
                        on_vectors(
                            #[inline(always)]
                            || {
                                for row in band.sums.chunks(self.staging.width).take(band.rows) {
                                    let row = &row[..sizes.out.1];
                                    *total += sum(row, |value, _| value);
                                    *squares += sum(row, |value, _| value * value);
                                }
                            },
                        );
                        if !kept.is_empty() {
                            let begin = band.filter * sizes.pixels() + band.row * sizes.out.1;
                            let rows = kept[begin..].chunks_mut(sizes.out.1).take(band.rows);
                            for (kept, row) in rows.zip(band.sums.chunks(self.staging.width)) {
                                kept.copy_from_slice(&row[..sizes.out.1]);
                            }
                        }
                    });
                    moments
                },
            )
            .collect();
        let count = sizes.batch * sizes.pixels();
        let (mean, variance) = (0..sizes.filters)
            .map(|filter| {
                let sum = |which: usize| of_images.iter().map(|moments| moments[filter][which]).sum::<f64>();
                let mean = sum(0) / count as f64;
                (mean, (sum(1) / count as f64 - mean * mean).max(0.0))
            })
            .unzip();
        (
            sums,
            BatchStatistics {
                mean,
                variance,
                count,
                on_gpu: None,
            },
        )
    }

    /// Scales, shifts, pools and rectifies the sums. `sums`: as kept, or empty. → the output, the winning sums, their places.
    fn finish(
        &self,
        keep: Option<Wanted>,
        sums: &[T],
        scale: impl Fn(usize) -> (T, T) + Sync,
    ) -> (Vec<T>, Vec<T>, Vec<u8>) {
        let (sizes, pooled, window) = (&self.sizes, self.pooled, self.block.window);
        let plane = pooled.plane();
        let image = sizes.filters * plane;
        let mut out = vec![T::zero(); sizes.batch * image];
        let places = keep.is_some() && window != (1, 1);
        let mut place = vec![0u8; if places { out.len() } else { 0 }];
        let mut won = vec![
            T::zero();
            if places && self.inputs.affine.is_some() {
                out.len()
            } else {
                0
            }
        ];
        if out.is_empty() {
            return (out, won, place);
        }
        let mut of_won: Vec<&mut [T]> = won.chunks_mut(image).collect();
        of_won.resize_with(sizes.batch, Default::default);
        let mut of_place: Vec<&mut [u8]> = place.chunks_mut(image).collect();
        of_place.resize_with(sizes.batch, Default::default);
        out.par_chunks_mut(image)
            .zip(of_won)
            .zip(of_place)
            .enumerate()
            .for_each_init(
                || None,
                |workspace, (index, ((out, won), place))| {
                    // Some rows of a filter's windows.
                    let mut rows = |filter: usize, first: usize, rows: usize, sums: &[T], width: usize| {
                        let (scale, shift) = scale(filter);
                        let begin = filter * plane + first / window.0 * pooled.columns;
                        let end = begin + rows / window.0 * pooled.columns;
                        let finish = Finish {
                            scale,
                            shift,
                            window,
                            rectifier: self.block.last().prepared(),
                        };
                        let mut done = Finished {
                            out: &mut out[begin..end],
                            won: won.get_mut(begin..end).unwrap_or_default(),
                            place: place.get_mut(begin..end).unwrap_or_default(),
                        };
                        on_vectors(
                            #[inline(always)]
                            || finish.rows(sums, width, pooled.columns, &mut done),
                        );
                    };
                    if sums.is_empty() {
                        let workspace = workspace.get_or_insert_with(|| self.workspace());
                        self.staging.stage(self.image(index), &mut workspace.staged);
                        self.for_each_band(workspace, |band| {
                            rows(band.filter, band.row, band.rows, band.sums, self.staging.width);
                        });
                    } else {
                        let sums = &sums[index * sizes.filters * sizes.pixels()..];
                        for (filter, sums) in sums.chunks(sizes.pixels()).take(sizes.filters).enumerate() {
                            rows(filter, 0, sizes.out.0, sums, sizes.out.1);
                        }
                    }
                },
            );
        (out, won, place)
    }
}

/// What one thread computes in.
pub struct Workspace<T> {
    /// An image as [`Staging`] lays it out.
    pub staged: Vec<T>,
    /// A band of sums.
    scratch: Vec<T>,
    rectified: Vec<T>,
    pub space: winograd::Space<T>,
}
