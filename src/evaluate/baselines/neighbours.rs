//! The mean truth of the nearest training examples: scikit-learn's `make_pipeline(StandardScaler(), KNeighborsRegressor(k))`, and the
//! classifier of that name, with equal weights and Euclidean distance.

use nalgebra::DMatrix;
use rayon::prelude::*;

use super::super::EvaluateError;
use super::super::problem::check_length;
use super::standardize::Standardizer;

/// The numbers of neighbours that are tried.
pub const NEIGHBOURS: [usize; 8] = [1, 3, 5, 9, 15, 25, 45, 75];

/// Training examples, to be looked up.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    standardizer: Standardizer,
    /// `[features, examples]`: an example is a column, which is contiguous.
    examples: DMatrix<f64>,
    /// `[outputs, examples]`: targets, or 1 for the class.
    truth: DMatrix<f64>,
}

impl Neighbours {
    /// `x` `[examples, features]`, `truth` `[examples, outputs]`.
    ///
    /// # Errors
    /// No examples or features, rows that do not fit, values that are not finite.
    pub fn fit(x: &DMatrix<f64>, truth: &DMatrix<f64>) -> Result<Self, EvaluateError> {
        let standardizer = Standardizer::fit(x)?;
        check_length("targets of the training split", x.nrows(), truth.nrows())?;
        Ok(Self {
            examples: standardizer.apply(x)?.transpose(),
            standardizer,
            truth: truth.transpose(),
        })
    }

    /// Predictions `[examples, outputs]` for each number of neighbours, which are limited to the training examples. Of examples
    /// equally far, the earlier ones count.
    ///
    /// # Errors
    /// Another number of features than in training, or values that are not finite.
    pub fn predict(&self, x: &DMatrix<f64>, neighbours: &[usize]) -> Result<Vec<DMatrix<f64>>, EvaluateError> {
        let scaled = self.standardizer.apply(x)?.transpose();
        let outputs = self.truth.nrows();
        let rows: Vec<Vec<Vec<f64>>> = (0..scaled.ncols())
            .into_par_iter()
            .map(|example| {
                let mut distances: Vec<(f64, usize)> = self
                    .examples
                    .column_iter()
                    .enumerate()
                    .map(|(index, other)| ((other - scaled.column(example)).norm_squared(), index))
                    .collect();
                distances.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                let of = |&count: &usize| {
                    let nearest = distances.iter().take(count.max(1));
                    let count = nearest.len().max(1) as f64;
                    let mut mean = vec![0.0; outputs];
                    for (_, index) in nearest {
                        for (mean, value) in mean.iter_mut().zip(self.truth.column(*index).iter()) {
                            *mean += value;
                        }
                    }
                    mean.iter_mut().for_each(|mean| *mean /= count);
                    mean
                };
                neighbours.iter().map(of).collect()
            })
            .collect();
        Ok((0..neighbours.len())
            .map(|which| {
                let values = rows.iter().filter_map(|row| row.get(which)).flatten().copied();
                DMatrix::from_row_iterator(rows.len(), outputs, values)
            })
            .collect())
    }
}
