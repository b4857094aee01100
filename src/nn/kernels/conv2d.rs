//! 2-D convolution (cross-correlation, as PyTorch's `Conv2d`) with bias.
//!
//! Each image is unfolded into columns and multiplied with the kernel; images run in parallel. The gradient of the kernel
//! is summed over groups of `GROUP` images, each in order, and then over the groups in order.

use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::element::{Element, for_dtype, slice, with_slice};
use super::matmul::{Matrix, Output, multiply};

/// Images whose kernel gradients are summed by one thread: part of the result's definition, not of its scheduling.
const GROUP: usize = 4;

/// Stride, zero padding and dilation, each for rows and columns; and the groups of channels that don't see each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    pub stride: (usize, usize),
    pub padding: (usize, usize),
    pub dilation: (usize, usize),
    pub groups: usize,
}

impl Default for Geometry {
    fn default() -> Self {
        Self {
            stride: (1, 1),
            padding: (0, 0),
            dilation: (1, 1),
            groups: 1,
        }
    }
}

impl Geometry {
    /// Rows and columns of the output; `None` where the kernel is larger than the padded input.
    pub fn output(&self, input: (usize, usize), kernel: (usize, usize)) -> Option<(usize, usize)> {
        let along = |size: usize, padding: usize, kernel: usize, stride: usize, dilation: usize| {
            let reach = dilation * kernel.checked_sub(1)? + 1;
            let room = (size + 2 * padding).checked_sub(reach)?;
            Some(room / stride.max(1) + 1)
        };
        Some((
            along(input.0, self.padding.0, kernel.0, self.stride.0, self.dilation.0)?,
            along(input.1, self.padding.1, kernel.1, self.stride.1, self.dilation.1)?,
        ))
    }
}

/// `input` `[batch, channels, rows, columns]`, `kernel` `[filters, channels / groups, kernel rows, kernel columns]`, `bias`
/// `[filters]` → `[batch, filters, output rows, output columns]`.
pub fn conv2d(input: &Tensor, kernel: &Tensor, bias: &Tensor, geometry: Geometry) -> Result<Tensor> {
    input
        .contiguous()?
        .apply_op3(&kernel.contiguous()?, &bias.contiguous()?, Conv2d { geometry })
}

struct Conv2d {
    geometry: Geometry,
}

/// All sizes of one convolution.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    channels: usize,
    rows: usize,
    columns: usize,
    filters: usize,
    kernel: (usize, usize),
    out: (usize, usize),
    geometry: Geometry,
}

impl Sizes {
    fn new(input: &[usize], kernel: &[usize], geometry: Geometry) -> Result<Self> {
        let (&[batch, channels, rows, columns], &[filters, kernel_channels, kernel_rows, kernel_columns]) =
            (input, kernel)
        else {
            candle_core::bail!(
                "conv2d takes [batch, channels, rows, columns], not {input:?}, and a kernel of 4 dimensions"
            )
        };
        let groups = geometry.groups;
        if groups == 0 || channels != kernel_channels * groups || !filters.is_multiple_of(groups) {
            candle_core::bail!(
                "conv2d: {channels} channels and {filters} filters of {kernel_channels} channels don't make {groups} groups"
            )
        }
        let kernel = (kernel_rows, kernel_columns);
        let Some(out) = geometry.output((rows, columns), kernel) else {
            candle_core::bail!("conv2d: a kernel of {kernel:?} is larger than the padded input {rows} × {columns}")
        };
        Ok(Self {
            batch,
            channels,
            rows,
            columns,
            filters,
            kernel,
            out,
            geometry,
        })
    }

    fn image(&self) -> usize {
        self.channels * self.rows * self.columns
    }

    fn out_image(&self) -> usize {
        self.filters * self.pixels()
    }

    fn pixels(&self) -> usize {
        self.out.0 * self.out.1
    }

    /// Rows of the unfolded image: channels · kernel rows · kernel columns.
    fn taps(&self) -> usize {
        self.channels * self.kernel.0 * self.kernel.1
    }

    /// Inputs that one output sums.
    fn group_taps(&self) -> usize {
        self.taps() / self.geometry.groups
    }

    fn group_filters(&self) -> usize {
        self.filters / self.geometry.groups
    }

    fn kernel_len(&self) -> usize {
        self.filters * self.group_taps()
    }

    /// `[group filters, group taps]` of a group.
    fn group_kernel<'a, T>(&self, kernel: &'a [T], group: usize) -> Matrix<'a, T> {
        let (filters, taps) = (self.group_filters(), self.group_taps());
        Matrix::new(&kernel[group * filters * taps..][..filters * taps], filters, taps)
    }

    /// `[group taps, pixels]` of an unfolded image.
    fn group_unfolded<'a, T>(&self, unfolded: &'a [T], group: usize) -> Matrix<'a, T> {
        let (taps, pixels) = (self.group_taps(), self.pixels());
        Matrix::new(&unfolded[group * taps * pixels..][..taps * pixels], taps, pixels)
    }

    /// `[group filters, pixels]` of an output image.
    fn group_output<'a, T>(&self, output: &'a [T], group: usize) -> Matrix<'a, T> {
        let (filters, pixels) = (self.group_filters(), self.pixels());
        Matrix::new(&output[group * filters * pixels..][..filters * pixels], filters, pixels)
    }

    /// For a kernel column: the first output column whose tap lies inside the input, and one past the last.
    fn inside(&self, kernel_column: usize) -> (usize, usize) {
        let (stride, padding) = (self.geometry.stride.1, self.geometry.padding.1);
        let offset = kernel_column * self.geometry.dilation.1;
        let first = padding.saturating_sub(offset).div_ceil(stride).min(self.out.1);
        let end = match (self.columns + padding).checked_sub(offset + 1) {
            Some(last) => (last / stride + 1).min(self.out.1),
            None => 0,
        };
        (first, end.max(first))
    }

    /// Calls `work(tap, output row, input row or None when it is padding)` for every tap and output row.
    fn for_each_row(&self, mut work: impl FnMut(usize, usize, usize, Option<usize>)) {
        let (kernel_rows, kernel_columns) = self.kernel;
        for channel in 0..self.channels {
            for kernel_row in 0..kernel_rows {
                for kernel_column in 0..kernel_columns {
                    let tap = (channel * kernel_rows + kernel_row) * kernel_columns + kernel_column;
                    for out_row in 0..self.out.0 {
                        let row = (out_row * self.geometry.stride.0 + kernel_row * self.geometry.dilation.0)
                            .checked_sub(self.geometry.padding.0);
                        let input = row
                            .filter(|&row| row < self.rows)
                            .map(|row| (channel * self.rows + row) * self.columns);
                        work(tap, out_row, kernel_column, input);
                    }
                }
            }
        }
    }

    /// `[taps, pixels]`: for every output pixel the inputs that it sums.
    fn unfold<T: Element>(&self, image: &[T], unfolded: &mut [T]) {
        let (pixels, width, stride, padding) = (
            self.pixels(),
            self.out.1,
            self.geometry.stride.1,
            self.geometry.padding.1,
        );
        self.for_each_row(|tap, out_row, kernel_column, input| {
            let start = tap * pixels + out_row * width;
            let target = &mut unfolded[start..start + width];
            let Some(input) = input else {
                target.fill(T::zero());
                return;
            };
            let source = &image[input..input + self.columns];
            let (first, end) = self.inside(kernel_column);
            target[..first].fill(T::zero());
            target[end..].fill(T::zero());
            if first == end {
                return;
            }
            let origin = first * stride + kernel_column * self.geometry.dilation.1 - padding;
            if stride == 1 {
                target[first..end].copy_from_slice(&source[origin..origin + end - first]);
            } else {
                for (value, &from) in target[first..end]
                    .iter_mut()
                    .zip(source[origin..].iter().step_by(stride))
                {
                    *value = from;
                }
            }
        });
    }

    /// The transpose of [`Self::unfold`]: adds every tap's gradient to its input.
    fn fold<T: Element>(&self, unfolded: &[T], image: &mut [T]) {
        let (pixels, width, stride, padding) = (
            self.pixels(),
            self.out.1,
            self.geometry.stride.1,
            self.geometry.padding.1,
        );
        self.for_each_row(|tap, out_row, kernel_column, input| {
            let Some(input) = input else { return };
            let start = tap * pixels + out_row * width;
            let source = &unfolded[start..start + width];
            let target = &mut image[input..input + self.columns];
            let (first, end) = self.inside(kernel_column);
            if first == end {
                return;
            }
            let origin = first * stride + kernel_column * self.geometry.dilation.1 - padding;
            if stride == 1 {
                for (value, &from) in target[origin..origin + end - first].iter_mut().zip(&source[first..end]) {
                    *value += from;
                }
            } else {
                for (value, &from) in target[origin..].iter_mut().step_by(stride).zip(&source[first..end]) {
                    *value += from;
                }
            }
        });
    }
}

fn forward<T: Element>(sizes: Sizes, input: &[T], kernel: &[T], bias: &[T]) -> Vec<T> {
    let mut out = vec![T::zero(); sizes.batch * sizes.out_image()];
    if out.is_empty() {
        return out;
    }
    out.par_chunks_mut(sizes.out_image()).enumerate().for_each_init(
        || vec![T::zero(); sizes.taps() * sizes.pixels()],
        |unfolded, (index, out)| {
            sizes.unfold(&input[index * sizes.image()..][..sizes.image()], unfolded);
            for (filter, plane) in out.chunks_mut(sizes.pixels()).enumerate() {
                plane.fill(bias[filter]);
            }
            let group_len = sizes.group_filters() * sizes.pixels();
            for (group, out) in out.chunks_mut(group_len).enumerate() {
                multiply(
                    sizes.group_kernel(kernel, group),
                    sizes.group_unfolded(unfolded, group),
                    out,
                    Output::Accumulate,
                );
            }
        },
    );
    out
}

/// Which gradients are asked for.
#[derive(Clone, Copy)]
struct Wanted {
    input: bool,
}

struct Gradients<T> {
    input: Option<Vec<T>>,
    kernel: Vec<T>,
    bias: Vec<T>,
}

fn backward<T: Element>(sizes: Sizes, input: &[T], kernel: &[T], gradient: &[T], wanted: Wanted) -> Gradients<T> {
    let mut input_gradient = vec![T::zero(); if wanted.input { sizes.batch * sizes.image() } else { 0 }];
    let groups = sizes.batch.div_ceil(GROUP);
    let mut input_groups: Vec<&mut [T]> = input_gradient.chunks_mut((GROUP * sizes.image()).max(1)).collect();
    input_groups.resize_with(groups, Default::default);

    let sums: Vec<(Vec<T>, Vec<T>)> = input_groups
        .into_par_iter()
        .enumerate()
        .map_init(
            || vec![T::zero(); sizes.taps() * sizes.pixels()],
            |unfolded, (group, input_gradient)| {
                let mut kernel_sum = vec![T::zero(); sizes.kernel_len()];
                let mut bias_sum = vec![T::zero(); sizes.filters];
                let mut targets = input_gradient.chunks_mut(sizes.image().max(1));
                for index in group * GROUP..((group + 1) * GROUP).min(sizes.batch) {
                    let gradient = &gradient[index * sizes.out_image()..][..sizes.out_image()];
                    for (sum, plane) in bias_sum.iter_mut().zip(gradient.chunks(sizes.pixels())) {
                        *sum += plane_sum(plane);
                    }
                    sizes.unfold(&input[index * sizes.image()..][..sizes.image()], unfolded);
                    let kernel_len = sizes.group_filters() * sizes.group_taps();
                    for (channels, sum) in kernel_sum.chunks_mut(kernel_len).enumerate() {
                        multiply(
                            sizes.group_output(gradient, channels),
                            sizes.group_unfolded(unfolded, channels).transposed(),
                            sum,
                            Output::Accumulate,
                        );
                    }
                    if let Some(target) = targets.next() {
                        let unfolded_len = sizes.group_taps() * sizes.pixels();
                        for (channels, unfolded) in unfolded.chunks_mut(unfolded_len).enumerate() {
                            multiply(
                                sizes.group_kernel(kernel, channels).transposed(),
                                sizes.group_output(gradient, channels),
                                unfolded,
                                Output::Overwrite,
                            );
                        }
                        sizes.fold(unfolded, target);
                    }
                }
                (kernel_sum, bias_sum)
            },
        )
        .collect();

    let mut kernel_gradient = vec![T::zero(); sizes.kernel_len()];
    let mut bias_gradient = vec![T::zero(); sizes.filters];
    for (kernel_sum, bias_sum) in sums {
        add(&mut kernel_gradient, &kernel_sum);
        add(&mut bias_gradient, &bias_sum);
    }
    Gradients {
        input: wanted.input.then_some(input_gradient),
        kernel: kernel_gradient,
        bias: bias_gradient,
    }
}

fn add<T: Element>(total: &mut [T], part: &[T]) {
    for (total, &part) in total.iter_mut().zip(part) {
        *total += part;
    }
}

/// In sixteen interleaved sums, which the compiler turns into vector additions without changing their order.
fn plane_sum<T: Element>(plane: &[T]) -> T {
    let mut lanes = [T::zero(); 16];
    let chunks = plane.chunks_exact(16);
    let rest: T = chunks.remainder().iter().copied().sum();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.into_iter().sum::<T>() + rest
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "affect-conv2d"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        kernel: &CpuStorage,
        kernel_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = Sizes::new(input_layout.dims(), kernel_layout.dims(), self.geometry)?;
        if bias_layout.dims() != [sizes.filters] {
            candle_core::bail!(
                "conv2d: the bias has shape {:?}, not [{}]",
                bias_layout.dims(),
                sizes.filters
            )
        }
        let shape = Shape::from((sizes.batch, sizes.filters, sizes.out.0, sizes.out.1));
        for_dtype!(storage_dtype(input), T => {
            let out = forward::<T>(
                sizes,
                slice(input, input_layout)?,
                slice(kernel, kernel_layout)?,
                slice(bias, bias_layout)?,
            );
            Ok((<T as candle_core::WithDType>::to_cpu_storage_owned(out), shape))
        })
    }

    fn bwd(
        &self,
        input: &Tensor,
        kernel: &Tensor,
        bias: &Tensor,
        _out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sizes = Sizes::new(input.dims(), kernel.dims(), self.geometry)?;
        let wanted = Wanted {
            input: input.track_op(),
        };
        let device = input.device();
        for_dtype!(input.dtype(), T => {
            let gradients = with_slice::<T, _>(input, |input| {
                with_slice(kernel, |kernel| {
                    with_slice(gradient, |gradient| Ok(backward(sizes, input, kernel, gradient, wanted)))
                })
            })?;
            let input_gradient = gradients.input.map(|values| Tensor::from_vec(values, input.dims(), device)).transpose()?;
            Ok((
                input_gradient,
                Some(Tensor::from_vec(gradients.kernel, kernel.dims(), device)?),
                Some(Tensor::from_vec(gradients.bias, bias.dims(), device)?),
            ))
        })
    }
}

fn storage_dtype(storage: &CpuStorage) -> DType {
    candle_core::backend::BackendStorage::dtype(storage)
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check_gradients, random};
    use super::*;

    /// By the definition, without any rearrangement.
    fn plain(sizes: Sizes, input: &[f64], kernel: &[f64], bias: &[f64]) -> Vec<f64> {
        let mut out = Vec::new();
        for image in 0..sizes.batch {
            for (filter, &bias) in bias.iter().enumerate() {
                for row in 0..sizes.out.0 {
                    for column in 0..sizes.out.1 {
                        let mut sum = bias;
                        let in_group = sizes.channels / sizes.geometry.groups;
                        let first = filter / sizes.group_filters() * in_group;
                        for channel in 0..in_group {
                            for i in 0..sizes.kernel.0 {
                                for j in 0..sizes.kernel.1 {
                                    let y = (row * sizes.geometry.stride.0 + i * sizes.geometry.dilation.0) as isize
                                        - sizes.geometry.padding.0 as isize;
                                    let x = (column * sizes.geometry.stride.1 + j * sizes.geometry.dilation.1) as isize
                                        - sizes.geometry.padding.1 as isize;
                                    if (0..sizes.rows as isize).contains(&y) && (0..sizes.columns as isize).contains(&x)
                                    {
                                        let at = ((image * sizes.channels + first + channel) * sizes.rows + y as usize)
                                            * sizes.columns;
                                        let weight =
                                            ((filter * in_group + channel) * sizes.kernel.0 + i) * sizes.kernel.1;
                                        sum += input[at + x as usize] * kernel[weight + j];
                                    }
                                }
                            }
                        }
                        out.push(sum);
                    }
                }
            }
        }
        out
    }

    const fn strided(stride: (usize, usize), padding: (usize, usize)) -> Geometry {
        Geometry {
            stride,
            padding,
            dilation: (1, 1),
            groups: 1,
        }
    }

    const CASES: [([usize; 4], [usize; 4], Geometry); 9] = [
        (
            [2, 2, 6, 8],
            [3, 2, 3, 2],
            Geometry {
                dilation: (2, 3),
                ..strided((1, 2), (2, 1))
            },
        ),
        (
            [2, 4, 4, 5],
            [6, 2, 3, 3],
            Geometry {
                groups: 2,
                ..strided((1, 1), (1, 1))
            },
        ),
        (
            [5, 3, 4, 5],
            [3, 1, 2, 3],
            Geometry {
                dilation: (1, 2),
                groups: 3,
                ..strided((2, 1), (1, 2))
            },
        ),
        ([2, 3, 5, 7], [4, 3, 3, 3], strided((1, 1), (1, 1))),
        ([5, 1, 4, 6], [2, 1, 3, 3], strided((1, 1), (1, 1))),
        ([1, 2, 6, 5], [3, 2, 2, 3], strided((2, 1), (0, 2))),
        ([9, 2, 1, 8], [2, 2, 1, 5], strided((1, 3), (0, 1))),
        ([1, 1, 1, 1], [1, 1, 3, 3], strided((1, 1), (1, 1))),
        ([1, 2, 3, 2], [1, 2, 3, 5], strided((2, 2), (1, 4))),
    ];

    #[test]
    fn agrees_with_the_definition() {
        for (input_shape, kernel_shape, geometry) in CASES {
            let sizes = Sizes::new(&input_shape, &kernel_shape, geometry).unwrap();
            let (input, kernel, bias) = (
                random(&input_shape, 1),
                random(&kernel_shape, 2),
                random(&kernel_shape[..1], 3),
            );
            let out = conv2d(&input, &kernel, &bias, geometry).unwrap();
            let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let expected = plain(sizes, &values(&input), &values(&kernel), &values(&bias));
            for (out, expected) in values(&out).iter().zip(&expected) {
                assert!(
                    (out - expected).abs() < 1e-12,
                    "{input_shape:?} {kernel_shape:?} {geometry:?}"
                );
            }
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        for (input_shape, kernel_shape, geometry) in CASES {
            check_gradients(
                &[
                    random(&input_shape, 1),
                    random(&kernel_shape, 2),
                    random(&kernel_shape[..1], 3),
                ],
                |inputs| conv2d(&inputs[0], &inputs[1], &inputs[2], geometry),
            );
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let shapes = ([11, 3, 13, 17], [5, 3, 3, 3]);
        let geometry = strided((1, 1), (1, 1));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let sizes = Sizes::new(&shapes.0, &shapes.1, geometry).unwrap();
                let values = |shape: &[usize], seed| -> Vec<f32> {
                    random(shape, seed)
                        .flatten_all()
                        .unwrap()
                        .to_vec1::<f64>()
                        .unwrap()
                        .iter()
                        .map(|&v| v as f32)
                        .collect()
                };
                let (input, kernel) = (values(&shapes.0, 1), values(&shapes.1, 2));
                let out = forward(sizes, &input, &kernel, &[0.5; 5]);
                let gradients = backward(sizes, &input, &kernel, &out, Wanted { input: true });
                let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                (
                    bits(&out),
                    bits(&gradients.kernel),
                    bits(&gradients.bias),
                    bits(&gradients.input.unwrap()),
                )
            })
        };
        assert!(run(1) == run(3));
    }

    #[test]
    fn a_kernel_larger_than_the_input_is_an_error() {
        let geometry = strided((1, 1), (0, 0));
        assert!(
            conv2d(
                &random(&[1, 1, 2, 2], 1),
                &random(&[1, 1, 3, 3], 2),
                &random(&[1], 3),
                geometry
            )
            .is_err()
        );
    }
}
