//! Blocks against the definition, their operators one after the other, finite differences and other numbers of threads.

use candle_core::Tensor;

use super::super::gradient_check::{check_gradients, random};
use super::geometry::Sizes;
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
                                if (0..sizes.rows as isize).contains(&y) && (0..sizes.columns as isize).contains(&x) {
                                    let at = ((image * sizes.channels + first + channel) * sizes.rows + y as usize)
                                        * sizes.columns;
                                    let weight = ((filter * in_group + channel) * sizes.kernel.0 + i) * sizes.kernel.1;
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

/// Convolutions that are computed by minimal filtering: odd sizes, single rows and columns, more tiles than are summed at once.
const WINOGRAD: [([usize; 4], [usize; 4], Geometry); 7] = [
    ([2, 16, 5, 7], [17, 16, 3, 3], strided((1, 1), (1, 1))),
    ([1, 19, 1, 8], [16, 19, 3, 3], strided((1, 1), (1, 1))),
    ([3, 16, 9, 1], [16, 16, 3, 3], strided((1, 1), (1, 1))),
    ([3, 16, 6, 4], [16, 16, 3, 3], strided((1, 1), (0, 0))),
    ([2, 18, 4, 3], [20, 18, 3, 3], strided((1, 1), (0, 1))),
    ([5, 16, 3, 37], [22, 16, 3, 3], strided((1, 1), (1, 0))),
    ([3, 17, 41, 40], [16, 17, 3, 3], strided((1, 1), (1, 1))),
];

#[test]
fn only_kernels_of_three_by_three_without_steps_are_filtered_minimally() {
    for (input, kernel, geometry) in WINOGRAD {
        assert!(
            winograd::applies(&Sizes::new(&input, &kernel, geometry).unwrap()),
            "{input:?}"
        );
    }
    for (input, kernel, geometry) in CASES {
        assert!(
            !winograd::applies(&Sizes::new(&input, &kernel, geometry).unwrap()),
            "{input:?}"
        );
    }
}

/// The gradients of the sum of all outputs times `weights` by the definition: of the input and of the kernel.
fn plain_gradients(sizes: Sizes, input: &[f64], kernel: &[f64], weights: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (mut of_input, mut of_kernel) = (vec![0.0; input.len()], vec![0.0; kernel.len()]);
    let mut weights = weights.iter();
    for image in 0..sizes.batch {
        for filter in 0..sizes.filters {
            for row in 0..sizes.out.0 {
                for column in 0..sizes.out.1 {
                    let weight = weights.next().unwrap();
                    for channel in 0..sizes.channels {
                        for tap in 0..9 {
                            let y = (row + tap / 3).wrapping_sub(sizes.geometry.padding.0);
                            let x = (column + tap % 3).wrapping_sub(sizes.geometry.padding.1);
                            if y < sizes.rows && x < sizes.columns {
                                let at = ((image * sizes.channels + channel) * sizes.rows + y) * sizes.columns + x;
                                let of_tap = (filter * sizes.channels + channel) * 9 + tap;
                                of_input[at] += weight * kernel[of_tap];
                                of_kernel[of_tap] += weight * input[at];
                            }
                        }
                    }
                }
            }
        }
    }
    (of_input, of_kernel)
}

#[test]
fn minimal_filtering_has_the_gradients_of_the_definition() {
    for (input_shape, kernel_shape, geometry) in WINOGRAD {
        let sizes = Sizes::new(&input_shape, &kernel_shape, geometry).unwrap();
        let vars = [
            random(&input_shape, 1),
            random(&kernel_shape, 2),
            random(&kernel_shape[..1], 3),
        ];
        let vars = vars.map(|value| candle_core::Var::from_tensor(&value).unwrap());
        let [input, kernel, bias] = &vars;
        let out = conv2d(input, kernel, bias, geometry).unwrap();
        let weights = random(out.dims(), 99);
        let gradients = (out * &weights).unwrap().sum_all().unwrap().backward().unwrap();
        let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let (of_input, of_kernel) = plain_gradients(sizes, &values(input), &values(kernel), &values(&weights));
        for (var, expected) in [(input, of_input), (kernel, of_kernel)] {
            for (value, expected) in values(gradients.get(var).unwrap()).iter().zip(&expected) {
                assert!((value - expected).abs() < 1e-10, "{input_shape:?} {kernel_shape:?}");
            }
        }
    }
}

#[test]
fn agrees_with_the_definition() {
    for (input_shape, kernel_shape, geometry) in CASES.into_iter().chain(WINOGRAD) {
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

/// What one pass over a block gives: the output, and the gradients of a weighting of it, as bits.
fn bits(inputs: &[Tensor], block: Block) -> Vec<Vec<u32>> {
    let vars: Vec<candle_core::Var> = inputs
        .iter()
        .map(|input| candle_core::Var::from_tensor(&input.to_dtype(candle_core::DType::F32).unwrap()).unwrap())
        .collect();
    let out = on(
        &vars.iter().map(|var| var.as_tensor().clone()).collect::<Vec<_>>(),
        block,
    )
    .unwrap();
    let weights = random(out.dims(), 99).to_dtype(candle_core::DType::F32).unwrap();
    let gradients = (&out * weights).unwrap().sum_all().unwrap().backward().unwrap();
    let of = |tensor: &Tensor| -> Vec<u32> {
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.iter().map(|value| value.to_bits()).collect()
    };
    let mut all = vec![of(&out)];
    all.extend(vars.iter().map(|var| of(gradients.get(var).unwrap())));
    all
}

/// Of input, kernel, bias (and gamma and beta).
fn on(inputs: &[Tensor], block: Block) -> Result<Tensor> {
    match block.norm {
        None => conv_block(&inputs[0], &inputs[1], &inputs[2], block),
        Some(_) => {
            let affine = (&inputs[3], &inputs[4]);
            Ok(normalized_conv_block(&inputs[0], &inputs[1], &inputs[2], affine, block)?.0)
        }
    }
}

fn inputs((input, kernel): (&[usize; 4], &[usize; 4]), block: Block) -> Vec<Tensor> {
    let mut inputs = vec![random(input, 1), random(kernel, 2), random(&kernel[..1], 3)];
    if block.norm.is_some() {
        inputs.extend([random(&kernel[..1], 4), random(&kernel[..1], 5)]);
    }
    inputs
}

/// What may follow a convolution.
fn blocks(geometry: Geometry, out: (usize, usize)) -> Vec<Block> {
    let mut blocks = Vec::new();
    let batch_norm = Some(Norm::Batch { epsilon: 1e-3 });
    for (norm, order) in [
        (None, Order::NormFirst),
        (batch_norm, Order::NormFirst),
        (batch_norm, Order::RectifierFirst),
    ] {
        for rectifier in [Rectifier::Identity, Rectifier::Relu, Rectifier::Leaky { slope: 0.1 }] {
            for window in [(1, 1), (2, 2), (1, 3), (3, 2)] {
                if window.0 <= out.0 && window.1 <= out.1 {
                    blocks.push(Block {
                        geometry,
                        norm,
                        rectifier,
                        order,
                        window,
                    });
                }
            }
        }
    }
    blocks
}

/// The operators one after the other.
fn one_by_one(inputs: &[Tensor], block: Block) -> Tensor {
    use super::super::{Cells, Function, Windows, activation, batch_norm, max_pool2d};
    let mut value = conv2d(&inputs[0], &inputs[1], &inputs[2], block.geometry).unwrap();
    let normalized = |value: Tensor| match block.norm {
        None => value,
        Some(Norm::Batch { epsilon }) => batch_norm(&value, &inputs[3], &inputs[4], epsilon).unwrap().0,
        Some(Norm::Constant) => {
            let of_filters = |values: &Tensor| values.reshape((1, (), 1, 1)).unwrap();
            let scaled = value.broadcast_mul(&of_filters(&inputs[3])).unwrap();
            scaled.broadcast_add(&of_filters(&inputs[4])).unwrap()
        }
    };
    let rectified = |value: Tensor| match block.rectifier {
        Rectifier::Identity => value,
        Rectifier::Relu => activation(&value, Function::Relu).unwrap(),
        Rectifier::Leaky { slope } => activation(&value, Function::LeakyRelu { slope }).unwrap(),
    };
    value = match block.order {
        Order::NormFirst => rectified(normalized(value)),
        Order::RectifierFirst => normalized(rectified(value)),
    };
    max_pool2d(&value, Cells::Windows(Windows::tiling(block.window))).unwrap()
}

#[test]
fn a_block_is_its_operators_one_after_the_other() {
    for (input, kernel, geometry) in CASES.iter().chain(&WINOGRAD) {
        let sizes = Sizes::new(input, kernel, *geometry).unwrap();
        for block in blocks(*geometry, sizes.out) {
            let inputs = inputs((input, kernel), block);
            let constant = Block {
                norm: block.norm.map(|_| Norm::Constant),
                ..block
            };
            for block in [block, constant] {
                let (out, expected) = (on(&inputs, block).unwrap(), one_by_one(&inputs, block));
                assert_eq!(out.dims(), expected.dims());
                let difference = (out - expected).unwrap().abs().unwrap().max_all().unwrap();
                assert!(difference.to_scalar::<f64>().unwrap() < 1e-10, "{input:?} {block:?}");
            }
        }
    }
}

#[test]
fn the_gradients_of_blocks_agree_with_finite_differences() {
    for (input, kernel, geometry) in &CASES {
        let sizes = Sizes::new(input, kernel, *geometry).unwrap();
        for block in blocks(*geometry, sizes.out) {
            // Of few values a batch norm is too curved for finite differences.
            if block.norm.is_none() || sizes.batch * sizes.pixels() >= 8 {
                check_gradients(&inputs((input, kernel), block), |inputs| on(inputs, block));
            }
        }
    }
}

#[test]
fn the_vectors_agree_with_the_plain_code() {
    for (input, kernel, geometry) in CASES.iter().chain(&WINOGRAD) {
        let sizes = Sizes::new(input, kernel, *geometry).unwrap();
        for block in blocks(*geometry, sizes.out) {
            let inputs = inputs((input, kernel), block);
            let narrow: Vec<Tensor> = inputs
                .iter()
                .map(|input| input.to_dtype(candle_core::DType::F32).unwrap())
                .collect();
            let out = on(&narrow, block).unwrap().to_dtype(candle_core::DType::F64).unwrap();
            let difference = (out - on(&inputs, block).unwrap())
                .unwrap()
                .abs()
                .unwrap()
                .max_all()
                .unwrap();
            assert!(difference.to_scalar::<f64>().unwrap() < 1e-4, "{input:?} {block:?}");
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for shapes in [(&[11, 3, 13, 17], &[5, 3, 3, 3]), (&[11, 16, 13, 17], &[18, 16, 3, 3])] {
        for block in blocks(strided((1, 1), (1, 1)), (13, 17)) {
            let inputs = inputs(shapes, block);
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| bits(&inputs, block))
            };
            assert!(run(1) == run(3), "{shapes:?} {block:?}");
        }
    }
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
