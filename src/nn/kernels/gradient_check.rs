//! Gradients against central finite differences in `f64`, for the kernels' tests.

use candle_core::{Device, Result, Tensor, Var};

use crate::random::Generator;

/// Normal values of the given shape.
pub fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut generator = Generator::keyed(seed, "gradient check", &[]);
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| generator.normal()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Checks the gradient of a random weighting of `operator`'s output with respect to every element of every input.
///
/// The inputs must not lie on a kink of the operator. Panics with the first difference above 1e-6 (absolute and relative).
pub fn check_gradients(inputs: &[Tensor], operator: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let out = operator(inputs).unwrap();
    let weights = random(out.dims(), 99);
    let objective =
        |inputs: &[Tensor]| -> Tensor { (operator(inputs).unwrap() * &weights).unwrap().sum_all().unwrap() };
    let vars: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(input).unwrap()).collect();
    let tracked: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let gradients = objective(&tracked).backward().unwrap();
    let step = 1e-5;
    for (which, var) in vars.iter().enumerate() {
        let gradient = gradients
            .get(var)
            .unwrap_or_else(|| panic!("no gradient for input {which}"));
        assert_eq!(
            gradient.dims(),
            var.dims(),
            "the shape of the gradient of input {which}"
        );
        let gradient = gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let values = inputs[which].flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for element in 0..values.len() {
            let at = |offset: f64| {
                let mut moved = values.clone();
                moved[element] += offset;
                let mut inputs = inputs.to_vec();
                inputs[which] = Tensor::from_vec(moved, inputs[which].dims(), &Device::Cpu).unwrap();
                objective(&inputs).to_scalar::<f64>().unwrap()
            };
            let expected = (at(step) - at(-step)) / (2.0 * step);
            let difference = (gradient[element] - expected).abs();
            assert!(
                difference <= 1e-6 * (1.0 + expected.abs()),
                "input {which}, element {element}: gradient {} but finite differences {expected}",
                gradient[element]
            );
        }
    }
}
