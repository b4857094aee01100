//! The backward pass of a block.
//!
//! With x̂ = (y − mean) / σ and n sums y in each filter, a batch norm makes of a gradient g: dβ = Σg, dγ = Σg·x̂ and
//! dy = γ/σ · (g − dβ/n − x̂·dγ/n). Max pooling leaves g zero but at the winners, so the two sums run over the winners only, and dy
//! is a line in y, to which the winners' gradients are added. Where the sums were rectified before the batch norm, y is their rectified
//! value, and dy is multiplied by the rectifier's derivative last.
//!
//! Image by image: dy is laid out in planes once, multiplied with the staged image (the kernel's gradient), and correlated with
//! the kernel (the input's gradient). The kernel's gradient is summed over groups of [`GROUP`] images, each in order, and then over
//! the groups in order.

use std::hint::select_unpredictable as select;

use candle_core::Tensor;
use rayon::prelude::*;

use super::super::element::{Element, sum, sum_and_moment};
use super::bands::{Weights, rows_of_a_band};
use super::correlate::{Correlate, pack};
use super::forward::{Forward, Saved, Workspace};
use super::pool::Rectifier;
use super::products::Products;
use super::staging::{Phase, Return};
use super::winograd;
use crate::vector::on_vectors;

/// Images whose kernel gradients are summed by one thread: part of the result's definition, not of its scheduling.
const GROUP: usize = 2;

/// Values of a kernel's gradient that one thread sums over the groups.
const SUMMED: usize = 4096;

/// Which gradients are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    All,
    /// Not that of the images: they are data.
    Parameters,
}

impl Wanted {
    /// What a block over these images is asked for.
    pub fn of(images: &Tensor) -> Self {
        match images.track_op() {
            true => Self::All,
            false => Self::Parameters,
        }
    }
}

/// Each in the shape of what it is the gradient of.
pub struct Gradients<T> {
    pub images: Option<Vec<T>>,
    pub kernel: Vec<T>,
    pub bias: Vec<T>,
    /// Of gamma and beta.
    pub affine: Option<(Vec<T>, Vec<T>)>,
}

/// dy = scale · g at the winners, plus slope · y + offset everywhere.
#[derive(Clone, Copy)]
struct Line<T> {
    scale: T,
    slope: T,
    offset: T,
}

struct Backward<'a, T> {
    forward: &'a Forward<'a, T>,
    saved: &'a Saved<T>,
    /// `[batch, filters, pooled rows, pooled columns]`
    gradient: &'a [T],
    /// The block's output.
    out: &'a [T],
    back: Return,
    /// Of each filter, where there is a batch norm.
    lines: Option<Vec<Line<T>>>,
    /// For each phase.
    weights: Vec<Weights<T>>,
}

/// What the forward pass computed, and the gradient of it.
pub fn run<T: Element>(
    forward: &Forward<T>,
    saved: &Saved<T>,
    out: &[T],
    gradient: &[T],
    wanted: Wanted,
) -> Gradients<T> {
    let sizes = &forward.sizes;
    let back = Return::new(*sizes, &forward.staging);
    let weights = match wanted {
        Wanted::All => back.phases.iter().map(|phase| returned(forward, phase)).collect(),
        Wanted::Parameters => Vec::new(),
    };
    let mut backward = Backward {
        forward,
        saved,
        gradient,
        out,
        back,
        lines: None,
        weights,
    };
    let sums = backward.sums();
    let number = |which: usize| sums.iter().map(move |sums| sums[which]);
    let inverse = |filter: usize| forward.block.inverse_deviation(&saved.statistics, filter);
    let mut affine = None;
    let mut bias: Vec<T> = number(0).map(T::from_f64).collect();
    if let Some((gamma, _)) = forward.inputs.affine {
        let count = saved.statistics.count as f64;
        let line = |(filter, &[beta_sum, moment]): (usize, &[f64; 2])| {
            let inverse = inverse(filter);
            let scale = gamma[filter].to_f64() * inverse;
            let slope = -scale * moment * inverse / count * inverse;
            let offset = -scale * beta_sum / count - slope * saved.statistics.mean[filter];
            Line {
                scale: T::from_f64(scale),
                slope: T::from_f64(slope),
                offset: T::from_f64(offset),
            }
        };
        backward.lines = Some(sums.iter().enumerate().map(line).collect());
        let gamma_gradient = number(1)
            .enumerate()
            .map(|(filter, sum)| T::from_f64(sum * inverse(filter)));
        affine = Some((gamma_gradient.collect(), bias));
        // The mean takes a bias right before a batch norm away again. One before a rectifier: below.
        bias = vec![T::zero(); sizes.filters];
    }

    let mut images = vec![
        T::zero();
        if wanted == Wanted::All {
            sizes.batch * sizes.image()
        } else {
            0
        }
    ];
    let points = match winograd::applies(sizes) {
        true => winograd::POINTS * sizes.filters * sizes.channels,
        false => sizes.kernel_len(),
    };
    let groups = sizes.batch.div_ceil(GROUP);
    let mut of_groups: Vec<&mut [T]> = images.chunks_mut((GROUP * sizes.image()).max(1)).collect();
    of_groups.resize_with(groups, Default::default);
    let parts: Vec<(Vec<T>, Vec<f64>)> = of_groups
        .into_par_iter()
        .enumerate()
        .map_init(
            || backward.workspace(),
            |workspace, (group, images)| {
                let mut sums = (vec![T::zero(); points], vec![0.0; sizes.filters]);
                let mut images = images.chunks_mut(sizes.image().max(1));
                for index in group * GROUP..((group + 1) * GROUP).min(sizes.batch) {
                    backward.image(index, workspace, &mut sums, images.next());
                }
                if let Some(gradient) = &mut workspace.gradient {
                    gradient.finish(&mut sums.0);
                }
                sums
            },
        )
        .collect();
    let mut kernel = vec![T::zero(); points];
    kernel.par_chunks_mut(SUMMED).enumerate().for_each(|(index, kernel)| {
        for (part, _) in &parts {
            let part = &part[index * SUMMED..];
            kernel.iter_mut().zip(part).for_each(|(total, &part)| *total += part);
        }
    });
    if winograd::applies(sizes) {
        kernel = winograd::kernel_gradient(&kernel);
    }
    let mut before = vec![0.0; sizes.filters];
    for (_, part) in &parts {
        before.iter_mut().zip(part).for_each(|(total, &part)| *total += part);
    }
    if forward.block.first() != Rectifier::Identity {
        bias = before.into_iter().map(T::from_f64).collect();
    }
    Gradients {
        images: (wanted == Wanted::All).then_some(images),
        kernel,
        bias,
        affine,
    }
}

/// The kernel as the input's gradient takes it: for each channel of a group, the weights of every filter and of the phase's taps.
fn returned<T: Element>(forward: &Forward<T>, phase: &Phase) -> Weights<T> {
    let sizes = &forward.sizes;
    let area = sizes.kernel.0 * sizes.kernel.1;
    let (filters, channels) = (sizes.group_filters(), sizes.group_channels());
    if winograd::applies(sizes) {
        return Weights::Winograd(winograd::Kernels::new(channels, filters, |channel, filter| {
            let of_pair = &forward.inputs.kernel[(filter * channels + channel) * area..];
            std::array::from_fn(|tap| of_pair[area - 1 - tap])
        }));
    }
    let mut packed = Vec::new();
    for kernel in forward.inputs.kernel.chunks((filters * channels * area).max(1)) {
        let mut weights = Vec::with_capacity(channels * filters * phase.taps.len());
        for channel in 0..channels {
            for filter in 0..filters {
                let of_filter = &kernel[(filter * channels + channel) * area..][..area];
                weights.extend(phase.taps.iter().map(|&tap| of_filter[tap]));
            }
        }
        packed.extend(pack(&weights, filters * phase.taps.len()));
    }
    Weights::Shifted(packed)
}

/// What one thread computes in.
struct Space<T> {
    forward: Workspace<T>,
    /// dy, as [`Return`] lays it out.
    planes: Vec<T>,
    /// Some rows of a group's input gradients.
    positions: Vec<T>,
    /// Where the kernel's gradient is summed in the transformed space.
    gradient: Option<winograd::KernelGradient<T>>,
}

impl<T: Element> Backward<'_, T> {
    fn workspace(&self) -> Space<T> {
        let sizes = &self.forward.sizes;
        Space {
            forward: self.forward.workspace(),
            planes: vec![T::zero(); self.back.len(sizes.filters)],
            positions: Vec::new(),
            gradient: winograd::applies(sizes).then(|| winograd::KernelGradient::new(sizes.filters, sizes.channels)),
        }
    }

    /// Of a plane of windows: Σg and, with a batch norm, Σg·(y − mean), g being the gradient before the rectifier. (Without one the
    /// second sum is of no meaning.)
    #[inline(always)]
    fn sums_of_plane(&self, index: usize) -> [f64; 2] {
        let forward = self.forward;
        let plane = forward.pooled.plane();
        let filter = index % forward.sizes.filters;
        let gradient = &self.gradient[index * plane..][..plane];
        let (values, mean, scale, shift) = match forward.inputs.affine {
            None => (self.out, 0.0, T::one(), T::zero()),
            Some(affine) => {
                let (scale, shift) = forward.block.normalization(&self.saved.statistics, affine, filter);
                (self.winners(), self.saved.statistics.mean[filter], scale, shift)
            }
        };
        let values = &values[index * plane..][..plane];
        let zero = T::zero();
        let given = |value: T| value * scale + shift;
        // A loop for each: with the choice within them they do not become vector instructions.
        match forward.block.last() {
            Rectifier::Identity => sum_and_moment(
                gradient,
                values,
                mean,
                #[inline(always)]
                |_, gradient| gradient,
            ),
            Rectifier::Relu => sum_and_moment(
                gradient,
                values,
                mean,
                #[inline(always)]
                |value, gradient| select(given(value) > zero, gradient, zero),
            ),
            Rectifier::Leaky { slope } => {
                let slope = T::from_f64(slope);
                sum_and_moment(
                    gradient,
                    values,
                    mean,
                    #[inline(always)]
                    |value, gradient| select(given(value) > zero, gradient, slope * gradient),
                )
            }
        }
    }

    /// The same of each filter.
    fn sums(&self) -> Vec<[f64; 2]> {
        let sizes = &self.forward.sizes;
        let planes: Vec<[f64; 2]> = (0..sizes.batch * sizes.filters)
            .into_par_iter()
            .map(|index| {
                on_vectors(
                    #[inline(always)]
                    || self.sums_of_plane(index),
                )
            })
            .collect();
        (0..sizes.filters)
            .map(|filter| {
                let of_filter = planes.iter().skip(filter).step_by(sizes.filters.max(1));
                of_filter.fold([0.0; 2], |total, sums| [total[0] + sums[0], total[1] + sums[1]])
            })
            .collect()
    }

    /// The sum that won each window.
    fn winners(&self) -> &[T] {
        match self.saved.won.is_empty() {
            true => &self.saved.sums,
            false => &self.saved.won,
        }
    }

    /// Adds an image's part to the gradients of the kernel and of a bias before a rectifier, and writes its own.
    fn image(
        &self,
        index: usize,
        space: &mut Space<T>,
        (kernel, bias): &mut (Vec<T>, Vec<f64>),
        target: Option<&mut [T]>,
    ) {
        let forward = self.forward;
        let (sizes, staging) = (&forward.sizes, &forward.staging);
        let Space {
            forward: workspace,
            planes,
            positions,
            gradient,
        } = space;
        staging.stage(forward.image(index), &mut workspace.staged);
        let pixels = sizes.pixels();
        if self.lines.is_some() && self.saved.sums.is_empty() {
            forward.for_each_band(workspace, |band| {
                bias[band.filter] += self.lay_out(
                    index,
                    band.filter,
                    (band.row, band.rows),
                    (band.sums, staging.width),
                    planes,
                );
            });
        } else {
            for (filter, bias) in bias.iter_mut().enumerate() {
                let sums = self.saved.sums.get((index * sizes.filters + filter) * pixels..);
                let sums = sums.unwrap_or_default();
                *bias += self.lay_out(index, filter, (0, sizes.out.0), (sums, sizes.out.1), planes);
            }
        }
        match gradient {
            Some(gradient) => {
                let windows = staging.windows(&workspace.staged, sizes.out.0);
                gradient.add(windows, self.back.gradients(planes), kernel);
            }
            None => {
                let (filters, taps) = (sizes.group_filters(), sizes.group_taps());
                for (group, kernel) in kernel.chunks_mut((filters * taps).max(1)).enumerate() {
                    T::products(Products {
                        planes: &planes[group * filters * self.back.plane + self.back.lead..],
                        stride: self.back.plane,
                        source: &workspace.staged[staging.group(group)..],
                        offsets: &staging.offsets,
                        sums: kernel,
                        pixels: staging.positions,
                    });
                }
            }
        }
        if let Some(target) = target {
            self.give_back(planes, (positions, &mut workspace.space), target);
        }
    }

    /// Some rows of a filter's dy into its plane. `sums`: the rows' sums, and from one to the next (of no use without batch norm).
    /// → the sum of it, where the rectifier comes first, else 0.
    fn lay_out(
        &self,
        index: usize,
        filter: usize,
        (first, rows): (usize, usize),
        (sums, width): (&[T], usize),
        planes: &mut [T],
    ) -> f64 {
        let forward = self.forward;
        let (sizes, pooled, window) = (&forward.sizes, forward.pooled, forward.block.window);
        let (rectifier, before) = (forward.block.last().prepared(), forward.block.first());
        let to = forward.staging.width;
        let plane = &mut planes[filter * self.back.plane + self.back.lead + first * to..];
        let line = self.lines.as_ref().map(|lines| lines[filter]);
        let columns = sizes.out.1;
        let begin = (index * sizes.filters + filter) * pooled.plane() + first / window.0 * pooled.columns;
        let windows = begin..begin + rows / window.0 * pooled.columns;
        let gradient = &self.gradient[windows.clone()];
        on_vectors(
            #[inline(always)]
            || {
                match line {
                    Some(line) => {
                        for (target, sums) in plane.chunks_mut(to).zip(sums.chunks(width)).take(rows) {
                            for (target, &sum) in target.iter_mut().zip(&sums[..columns]) {
                                *target = line.slope * sum + line.offset;
                            }
                        }
                    }
                    None => {
                        for target in plane.chunks_mut(to).take(rows) {
                            target[..columns].fill(T::zero());
                        }
                    }
                }
                // The sign of what the rectifier was given decides.
                let (signs, scale, shift, factor) = match (line, forward.inputs.affine) {
                    (Some(line), Some(affine)) => {
                        let (scale, shift) = forward.block.normalization(&self.saved.statistics, affine, filter);
                        (&self.winners()[windows.clone()], scale, shift, line.scale)
                    }
                    _ => (&self.out[windows.clone()], T::one(), T::zero(), T::one()),
                };
                let back = |sign: T, gradient: T| factor * rectifier.back(sign * scale + shift, gradient);
                if window == (1, 1) {
                    let values = signs.chunks(columns).zip(gradient.chunks(columns));
                    for (target, (signs, gradient)) in plane.chunks_mut(to).zip(values) {
                        for (target, (&sign, &gradient)) in target.iter_mut().zip(signs.iter().zip(gradient)) {
                            *target += back(sign, gradient);
                        }
                    }
                    return rectify(before, (sums, width), (plane, to), (rows, columns));
                }
                let places = self.saved.place[windows.clone()].chunks(pooled.columns);
                let values = signs.chunks(pooled.columns).zip(gradient.chunks(pooled.columns));
                let of_windows = plane.chunks_mut(window.0 * to);
                for (rows, (places, (signs, gradient))) in of_windows.zip(places.zip(values)) {
                    if window == (2, 2) {
                        let (above, below) = rows.split_at_mut(to);
                        let values = |at: usize| back(signs[at], gradient[at]);
                        add_to_fours(above.as_chunks_mut().0, below.as_chunks_mut().0, places, values);
                        continue;
                    }
                    let windows = places.iter().zip(signs.iter().zip(gradient));
                    for (column, (&place, (&sign, &gradient))) in windows.enumerate() {
                        let place = usize::from(place);
                        rows[place / window.1 * to + column * window.1 + place % window.1] += back(sign, gradient);
                    }
                }
                rectify(before, (sums, width), (plane, to), (rows, columns))
            },
        )
    }

    /// The gradient of an image, of which every pixel is written.
    fn give_back(&self, planes: &[T], (positions, space): (&mut Vec<T>, &mut winograd::Space<T>), target: &mut [T]) {
        let sizes = &self.forward.sizes;
        let (channels, filters) = (sizes.group_channels(), sizes.group_filters());
        let plane = sizes.rows * sizes.columns;
        let width = self.forward.staging.width;
        let zeros = vec![T::zero(); channels];
        let rows_of_a_band = match winograd::applies(sizes) {
            true => winograd::rows_of_a_band(filters, sizes.columns, 2),
            false => rows_of_a_band(channels, width, 1),
        };
        for (phase, weights) in self.back.phases.iter().zip(&self.weights) {
            let taps = filters * phase.taps.len();
            for group in 0..sizes.geometry.groups {
                let source = &planes[group * filters * self.back.plane..];
                let targets = &mut target[group * channels * plane..][..channels * plane];
                for row in (0..phase.rows()).step_by(rows_of_a_band) {
                    let rows = rows_of_a_band.min(phase.rows() - row);
                    let count = phase.positions(rows, width);
                    positions.resize(positions.len().max(channels * count), T::zero());
                    match weights {
                        Weights::Shifted(packed) => T::correlate(Correlate {
                            source: &source[row * width..],
                            offsets: &phase.offsets,
                            weights: &packed[group * channels * taps..][..channels * taps],
                            start: &zeros,
                            out: positions,
                            stride: count,
                            pixels: count,
                        }),
                        Weights::Winograd(kernels) => {
                            let windows = self.back.windows(planes, row, rows);
                            winograd::correlate(kernels, windows, &zeros, (positions, count), space);
                        }
                    }
                    for (target, positions) in targets.chunks_mut(plane).zip(positions.chunks(count)) {
                        let end = positions.len().min(rows * width);
                        self.back.collect(phase, row, width, &positions[..end], target);
                    }
                }
            }
        }
    }
}

/// Multiplies gradients of rectified sums by the rectifier's derivative. → their sum. Nothing and 0 where there is no rectifier.
#[inline(always)]
fn rectify<T: Element>(
    rectifier: Rectifier,
    (sums, width): (&[T], usize),
    (plane, to): (&mut [T], usize),
    (rows, columns): (usize, usize),
) -> f64 {
    if rectifier == Rectifier::Identity {
        return 0.0;
    }
    let prepared = rectifier.prepared();
    // One, of which the compiler knows nothing: values that may stay as they are become stores under a mask, which are slow.
    let one = std::hint::black_box(T::one());
    let mut total = 0.0;
    for (target, sums) in plane.chunks_mut(to).zip(sums.chunks(width)).take(rows) {
        let target = &mut target[..columns];
        for (target, &sum) in target.iter_mut().zip(sums) {
            *target = prepared.back(sum, *target * one);
        }
        total += sum(target, |value, _| value);
    }
    total
}

/// Adds the value of each window of 2 × 2 where its place says. Plain loops, which the compiler turns into vector instructions.
#[inline(always)]
fn add_to_fours<T: Element>(above: &mut [[T; 2]], below: &mut [[T; 2]], places: &[u8], value: impl Fn(usize) -> T) {
    const SOME: usize = 32;
    let mut values = [T::zero(); SOME];
    for first in (0..places.len()).step_by(SOME) {
        let places = &places[first..(first + SOME).min(places.len())];
        let values = &mut values[..places.len()];
        for (at, target) in values.iter_mut().enumerate() {
            *target = value(first + at);
        }
        for (rows, places_of_row) in [(&mut *above, 0), (&mut *below, 2)] {
            let rows = &mut rows[first..first + places.len()];
            for at in 0..places.len() {
                let (value, place) = (values[at], places[at]);
                rows[at][0] += select(place == places_of_row, value, T::zero());
                rows[at][1] += select(place == places_of_row + 1, value, T::zero());
            }
        }
    }
}
