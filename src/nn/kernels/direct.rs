//! Gradients of parameters, past Candle's sums.
//!
//! Candle adds every gradient that an operator gives to zeros that it makes for it first: two more launches for each parameter of a
//! network, more than half of all that a small network's step launches on a GPU. While they are collected, our operators give the
//! gradients of parameters here, and to Candle only those that others need for their own.

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::{Result, Tensor, TensorId};

thread_local! {
    static GIVEN: RefCell<Option<Given>> = const { RefCell::new(None) };
}

/// Gradients that were given, by their parameters.
#[derive(Default)]
pub struct Given(HashMap<TensorId, Tensor>);

impl Given {
    pub fn take(&mut self, parameter: &Tensor) -> Option<Tensor> {
        self.0.remove(&parameter.id())
    }
}

/// Ends the collection also where `work` fails.
struct Collection;

impl Drop for Collection {
    fn drop(&mut self) {
        GIVEN.with(|given| given.borrow_mut().take());
    }
}

/// Does `work` on this thread, a backward pass among it, and collects the gradients of parameters.
pub fn collect<R>(work: impl FnOnce() -> Result<R>) -> Result<(R, Given)> {
    GIVEN.with(|given| *given.borrow_mut() = Some(Given::default()));
    let collection = Collection;
    let done = work()?;
    let given = GIVEN.with(|given| given.borrow_mut().take());
    drop(collection);
    Ok((done, given.unwrap_or_default()))
}

#[cfg(any(feature = "cuda", test))]
pub(super) fn is_collecting() -> bool {
    GIVEN.with(|given| given.borrow().is_some())
}

/// Whether nothing behind a tensor wants its gradient.
#[cfg(feature = "cuda")]
pub(super) fn ends_here(tensor: &Tensor) -> bool {
    tensor.is_variable() || !tensor.track_op()
}

/// Gives the gradient of an operator's argument. What comes back is for Candle or the tape: nothing where it was collected, or nobody
/// wants it.
pub(super) fn give(argument: &Tensor, gradient: Tensor) -> Result<Option<Tensor>> {
    if !argument.track_op() {
        return Ok(None);
    }
    if !argument.is_variable() {
        return Ok(Some(gradient));
    }
    GIVEN.with(|given| match &mut *given.borrow_mut() {
        None => Ok(Some(gradient)),
        Some(given) => {
            let sum = match given.take(argument) {
                None => gradient,
                Some(other) => (other + gradient)?,
            };
            given.0.insert(argument.id(), sum);
            Ok(None)
        }
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn only_parameters_are_collected_and_only_while_they_are() {
        let parameter = Var::new(&[1.0f32, 2.0], &Device::Cpu).unwrap();
        let inner = (parameter.as_tensor() * 2.0).unwrap();
        let data = Tensor::new(&[1.0f32], &Device::Cpu).unwrap();
        let one = Tensor::new(&[3.0f32, 4.0], &Device::Cpu).unwrap();
        assert!(give(&parameter, one.clone()).unwrap().is_some());
        let (passed_on, mut given) = collect(|| {
            assert!(is_collecting());
            assert!(give(&parameter, one.clone())?.is_none());
            assert!(give(&parameter, one.clone())?.is_none());
            assert!(give(&data, one.clone())?.is_none());
            give(&inner, one.clone())
        })
        .unwrap();
        assert!(passed_on.is_some() && !is_collecting());
        let sum = given.take(&parameter).unwrap();
        assert_eq!(sum.to_vec1::<f32>().unwrap(), [6.0, 8.0]);
        assert!(given.take(&parameter).is_none() && given.take(&data).is_none());
        let failed: Result<((), Given)> = collect(|| candle_core::bail!("no"));
        assert!(failed.is_err() && !is_collecting());
    }
}
