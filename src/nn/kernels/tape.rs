//! The backward pass of a whole step, past Candle's sums.
//!
//! Candle adds every gradient to zeros that it makes for it first: on a GPU two more launches for each tensor of a network, which
//! move four times its bytes. Where a step is made of our own operators alone, they are noted on a tape, each with its arguments
//! and its output, and hand their gradients to each other. The tape is given up as it is walked back, so that the memory of what is
//! done is there for the rest.
//!
//! An operator gets on the tape by `apply1`, `apply2` or `apply3`; there are [`reshape`], [`add`], [`turn`], [`cat`] and [`narrow`] besides.
//! Candle notes all of them too, and more. So the tape knows when a gradient would have to go through what it has not noted: then it is
//! torn, and walking it back is an error.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use candle_core::{CustomOp1, CustomOp2, CustomOp3, Result, Shape, Tensor, TensorId};

use super::direct::give;

thread_local! {
    static TAPE: RefCell<Option<Tape>> = const { RefCell::new(None) };
}

/// What was done on this thread.
#[derive(Default)]
struct Tape {
    notes: Vec<Note>,
    outputs: HashSet<TensorId>,
}

/// An operator that was applied.
struct Note {
    operator: Operator,
    arguments: Vec<Tensor>,
    out: Tensor,
}

enum Operator {
    One(Arc<Box<dyn CustomOp1 + Send + Sync>>),
    #[cfg_attr(
        not(feature = "cuda"),
        allow(dead_code, reason = "operators of two arguments are the GPU's")
    )]
    Two(Arc<Box<dyn CustomOp2 + Send + Sync>>),
    Three(Arc<Box<dyn CustomOp3 + Send + Sync>>),
    Reshape,
    Add,
    Turn,
    /// Along this dimension.
    Cat(usize),
    Narrow {
        dimension: usize,
        first: usize,
    },
}

/// Ends the tape also where the work fails.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        TAPE.with(|tape| tape.borrow_mut().take());
    }
}

/// Does `work` on this thread, and then the backward pass from the tensor that it gives first. The gradients of parameters go to
/// [`super::direct::collect`], around this. What else the work gives should be detached: it would keep the memory of all that it
/// was computed from.
///
/// # Errors
/// Those of the work and of its operators. Something else than operators on the tape lies between the parameters and the tensor.
pub fn backward<R>(work: impl FnOnce() -> Result<(Tensor, R)>) -> Result<(Tensor, R)> {
    TAPE.with(|tape| *tape.borrow_mut() = Some(Tape::default()));
    let end = End;
    let (value, rest) = work()?;
    let tape = TAPE.with(|tape| tape.borrow_mut().take());
    drop(end);
    let (from, detached) = (value.id(), value.detach());
    // It would keep everything until the end.
    drop(value);
    tape.unwrap_or_default().walk_back(from, detached.ones_like()?)?;
    Ok((detached, rest))
}

impl Tape {
    fn walk_back(mut self, from: TensorId, gradient: Tensor) -> Result<()> {
        if !self.outputs.contains(&from) {
            candle_core::bail!("the tape does not lead to the tensor whose gradients are asked for")
        }
        let mut gradients = HashMap::from([(from, gradient)]);
        while let Some(note) = self.notes.pop() {
            let Some(gradient) = gradients.remove(&note.out.id()) else {
                candle_core::bail!(
                    "the tape is torn behind {}: nothing gives its gradient",
                    note.operator.name()
                )
            };
            for (argument, gradient) in note.arguments.iter().zip(note.gradients(&gradient)?) {
                let Some(gradient) = gradient else { continue };
                if self.outputs.contains(&argument.id()) {
                    let sum = match gradients.remove(&argument.id()) {
                        None => gradient,
                        Some(other) => (other + gradient)?,
                    };
                    gradients.insert(argument.id(), sum);
                } else if give(argument, gradient)?.is_some() {
                    candle_core::bail!(
                        "the tape is torn before {}: Candle made its argument",
                        note.operator.name()
                    )
                }
            }
        }
        Ok(())
    }
}

impl Note {
    /// Of the arguments, in their order; `None` where an operator gave it to its parameter, or there is none.
    fn gradients(&self, gradient: &Tensor) -> Result<Vec<Option<Tensor>>> {
        Ok(match (&self.operator, self.arguments.as_slice()) {
            (Operator::One(operator), [one]) => vec![operator.bwd(one, &self.out, gradient)?],
            (Operator::Two(operator), [one, two]) => {
                let (one, two) = operator.bwd(one, two, &self.out, gradient)?;
                vec![one, two]
            }
            (Operator::Three(operator), [one, two, three]) => {
                let (one, two, three) = operator.bwd(one, two, three, &self.out, gradient)?;
                vec![one, two, three]
            }
            (Operator::Reshape, [one]) => vec![Some(gradient.reshape(one.shape())?)],
            (Operator::Add, _) => vec![Some(gradient.clone()), Some(gradient.clone())],
            (Operator::Turn, _) => vec![Some(gradient.transpose(1, 2)?.contiguous()?)],
            (&Operator::Cat(dimension), parts) => {
                let mut first = 0;
                let part = |part: &Tensor| {
                    let size = part.dim(dimension)?;
                    first += size;
                    gradient.narrow(dimension, first - size, size).map(Some)
                };
                parts.iter().map(part).collect::<Result<_>>()?
            }
            (&Operator::Narrow { dimension, first }, [one]) => {
                let behind = one.dim(dimension)? - first - gradient.dim(dimension)?;
                vec![Some(gradient.pad_with_zeros(dimension, first, behind)?)]
            }
            (operator, arguments) => {
                candle_core::bail!("{} with {} arguments is on the tape", operator.name(), arguments.len())
            }
        })
    }
}

impl Operator {
    fn name(&self) -> &'static str {
        match self {
            Self::One(operator) => operator.name(),
            Self::Two(operator) => operator.name(),
            Self::Three(operator) => operator.name(),
            Self::Reshape => "reshape",
            Self::Add => "add",
            Self::Turn => "turn",
            Self::Cat(_) => "cat",
            Self::Narrow { .. } => "narrow",
        }
    }
}

/// Notes an operator whose output has a gradient, where a tape runs.
fn note(operator: Operator, arguments: &[&Tensor], out: Tensor) -> Tensor {
    if out.track_op() {
        TAPE.with(|tape| {
            if let Some(tape) = tape.borrow_mut().as_mut() {
                tape.outputs.insert(out.id());
                tape.notes.push(Note {
                    operator,
                    arguments: arguments.iter().copied().cloned().collect(),
                    out: out.clone(),
                });
            }
        });
    }
    out
}

/// Applies an operator.
pub(super) fn apply1<C: CustomOp1 + Send + Sync + 'static>(argument: &Tensor, operator: C) -> Result<Tensor> {
    let operator: Arc<Box<dyn CustomOp1 + Send + Sync>> = Arc::new(Box::new(operator));
    let out = argument.apply_op1_arc(Arc::clone(&operator))?;
    Ok(note(Operator::One(operator), &[argument], out))
}

/// As [`apply1`].
#[cfg_attr(
    not(feature = "cuda"),
    allow(dead_code, reason = "operators of two arguments are the GPU's")
)]
pub(super) fn apply2<C: CustomOp2 + Send + Sync + 'static>(one: &Tensor, two: &Tensor, operator: C) -> Result<Tensor> {
    let operator: Arc<Box<dyn CustomOp2 + Send + Sync>> = Arc::new(Box::new(operator));
    let out = one.apply_op2_arc(two, Arc::clone(&operator))?;
    Ok(note(Operator::Two(operator), &[one, two], out))
}

/// As [`apply1`].
pub(super) fn apply3<C: CustomOp3 + Send + Sync + 'static>(
    one: &Tensor,
    two: &Tensor,
    three: &Tensor,
    operator: C,
) -> Result<Tensor> {
    let operator: Arc<Box<dyn CustomOp3 + Send + Sync>> = Arc::new(Box::new(operator));
    let out = one.apply_op3_arc(two, three, Arc::clone(&operator))?;
    Ok(note(Operator::Three(operator), &[one, two, three], out))
}

/// The same numbers in another shape.
pub fn reshape(tensor: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
    let shape = shape.into();
    if *tensor.shape() == shape {
        return Ok(tensor.clone());
    }
    Ok(note(Operator::Reshape, &[tensor], tensor.reshape(shape)?))
}

/// The sum of two tensors of one shape.
pub fn add(one: &Tensor, other: &Tensor) -> Result<Tensor> {
    Ok(note(Operator::Add, &[one, other], (one + other)?))
}

/// `[batch, a, b, …]` → `[batch, b, a, …]`, in one piece.
pub fn turn(tensor: &Tensor) -> Result<Tensor> {
    let out = tensor.transpose(1, 2)?.contiguous()?;
    Ok(note(Operator::Turn, &[tensor], out))
}

/// Tensors behind each other along a dimension.
pub fn cat(tensors: &[Tensor], dimension: usize) -> Result<Tensor> {
    if let [one] = tensors {
        return Ok(one.clone());
    }
    let arguments: Vec<&Tensor> = tensors.iter().collect();
    Ok(note(
        Operator::Cat(dimension),
        &arguments,
        Tensor::cat(tensors, dimension)?,
    ))
}

/// `count` places of a dimension, from `first` on.
pub fn narrow(tensor: &Tensor, dimension: usize, first: usize, count: usize) -> Result<Tensor> {
    if (first, Some(&count)) == (0, tensor.dims().get(dimension)) {
        return Ok(tensor.clone());
    }
    let out = tensor.narrow(dimension, first, count)?;
    Ok(note(Operator::Narrow { dimension, first }, &[tensor], out))
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::super::direct::{self, Given};
    use super::super::gradient_check::random;
    use super::super::{
        Block, Cells, Function, Geometry, Rectifier, Windows, activation, avg_pool2d, batch_norm, conv_block,
        max_pool2d,
    };
    use super::*;

    fn vars() -> Vec<Var> {
        let shapes: [&[usize]; 8] = [
            &[4, 1, 3, 3],
            &[4],
            &[4, 4, 3, 3],
            &[4],
            &[4],
            &[4],
            &[1, 4, 1, 1],
            &[1],
        ];
        let var = |(seed, shape): (u64, &&[usize])| Var::from_tensor(&random(shape, seed)).unwrap();
        (10..).zip(&shapes).map(var).collect()
    }

    fn padded() -> Geometry {
        Geometry {
            padding: (1, 1),
            ..Geometry::default()
        }
    }

    /// Blocks, one of them with a way around, a norm, an activation, both poolings, and everything that changes a shape.
    fn value(vars: &[Var], data: &Tensor) -> Result<Tensor> {
        let block = Block {
            rectifier: Rectifier::Relu,
            window: (2, 2),
            ..Block::plain(padded())
        };
        let first = conv_block(data, &vars[0], &vars[1], block)?;
        let second = conv_block(&first, &vars[2], &vars[3], Block::plain(padded()))?;
        let sum = add(&second, &first)?;
        let normal = batch_norm(&sum, &vars[4], &vars[5], 1e-3)?.0;
        let active = activation(&normal, Function::Tanh)?;
        let pooled = max_pool2d(&active, Cells::Windows(Windows::tiling((1, 2))))?;
        let turned = reshape(&reshape(&pooled, (2, 4, 6, 1))?, (2, 4, 6, 1))?;
        let turned = turn(&turn(&turned)?)?;
        let parts = [
            narrow(&turned, 2, 1, 5)?,
            narrow(&turned, 2, 0, 2)?,
            narrow(&turned, 2, 0, 6)?,
        ];
        let joined = cat(&parts, 2)?;
        let ends = conv_block(&joined, &vars[6], &vars[7], Block::plain(Geometry::default()))?;
        let means = avg_pool2d(&ends, Cells::Grid(1, 1))?;
        reshape(&avg_pool2d(&reshape(&means, (1, 1, 1, 2))?, Cells::Grid(1, 1))?, ())
    }

    fn is_running() -> bool {
        TAPE.with(|tape| tape.borrow().is_some())
    }

    fn walked(work: impl FnOnce() -> Result<(Tensor, ())>) -> Result<(Tensor, Given)> {
        let ((value, ()), given) = direct::collect(|| backward(work))?;
        Ok((value, given))
    }

    #[test]
    fn gradients_are_those_of_candle() {
        let (vars, data) = (vars(), random(&[2, 1, 6, 8], 1));
        let here = value(&vars, &data).unwrap();
        let candles = here.backward().unwrap();
        let (there, mut given) = walked(|| Ok((value(&vars, &data)?, ()))).unwrap();
        let number = |value: &Tensor| value.to_scalar::<f64>().unwrap();
        assert_eq!(number(&there), number(&here));
        for var in &vars {
            let all = |gradient: &Tensor| gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let of_tape = all(&given.take(var).unwrap());
            assert!(of_tape.iter().any(|&gradient| gradient != 0.0), "{:?}", var.dims());
            assert_eq!(of_tape, all(candles.get(var).unwrap()), "{:?}", var.dims());
        }
        assert!(!is_running());
    }

    /// Gives what it takes, and notes whether another one is gone when it is walked back.
    struct Watching {
        mark: Arc<()>,
        other: std::sync::Weak<()>,
        is_gone: Arc<std::sync::Mutex<Option<bool>>>,
    }

    impl CustomOp1 for Watching {
        fn name(&self) -> &'static str {
            "watching"
        }

        fn cpu_fwd(
            &self,
            values: &candle_core::CpuStorage,
            layout: &candle_core::Layout,
        ) -> Result<(candle_core::CpuStorage, Shape)> {
            Ok((values.clone(), layout.shape().clone()))
        }

        fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
            *self.is_gone.lock().unwrap() = Some(self.other.strong_count() == 0);
            assert_eq!(Arc::strong_count(&self.mark), 1);
            Ok(Some(gradient.clone()))
        }
    }

    #[test]
    fn what_was_walked_back_is_given_up() {
        let var = Var::from_tensor(&random(&[2, 3], 1)).unwrap();
        let is_gone = Arc::default();
        let (value, mut given) = walked(|| {
            let (first, second) = (Arc::new(()), Arc::new(()));
            let watch = |mark, other| Watching {
                mark,
                other,
                is_gone: Arc::clone(&is_gone),
            };
            let other = Arc::downgrade(&second);
            let one = apply1(&var, watch(first, other))?;
            let two = apply1(&one, watch(second, std::sync::Weak::new()))?;
            Ok((reshape(&two, 6)?, ()))
        })
        .unwrap();
        assert_eq!(*is_gone.lock().unwrap(), Some(true));
        assert!(given.take(&var).is_some() && !value.track_op());
    }

    #[test]
    fn a_torn_tape_is_an_error() {
        let (vars, data) = (vars(), random(&[2, 1, 6, 8], 1));
        let block = Block::plain(padded());
        let first = || conv_block(&data, &vars[0], &vars[1], block);
        let complaint = |work: &dyn Fn() -> Result<Tensor>| {
            let Err(error) = walked(|| Ok((work()?, ()))) else {
                panic!("a torn tape was walked")
            };
            assert!(!is_running());
            error.to_string()
        };
        let beside = complaint(&|| {
            let first = first()?;
            add(&conv_block(&first, &vars[2], &vars[3], block)?, &(first * 2.0)?)
        });
        assert!(beside.contains("the tape is torn before add"), "{beside}");
        let doubled = complaint(&|| conv_block(&(first()? * 2.0)?, &vars[2], &vars[3], block));
        assert!(doubled.contains("the tape is torn before affect-conv2d"), "{doubled}");
        let alone = complaint(&|| first().and_then(|_| conv_block(&data, &vars[0], &vars[1], block)));
        assert!(alone.contains("the tape is torn behind affect-conv2d"), "{alone}");
        let parameter = complaint(&|| conv_block(&data, &(vars[0].as_tensor() * 2.0)?, &vars[1], block));
        assert!(
            parameter.contains("the tape is torn before affect-conv2d"),
            "{parameter}"
        );
        let elsewhere = complaint(&|| first()?.sum_all());
        assert!(elsewhere.contains("does not lead"), "{elsewhere}");
        let failed = complaint(&|| first()?.reshape((1, 1)));
        assert!(failed.contains("reshape"), "{failed}");
    }
}
