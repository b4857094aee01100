//! Matrix products on slices, single-threaded, through `gemm`.

use super::element::Element;

/// A row-major matrix in a slice, or its transpose.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// `data` holds `rows · columns` elements, row after row.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns, "a matrix of {rows} × {columns}");
        Self {
            data,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// The transpose, without moving anything.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `out += left · right`; `out` is row-major. The sum over the inner index runs in an order that
/// depends on the shapes alone.
#[allow(unsafe_code)]
pub fn multiply_add<T: Element>(left: Matrix<T>, right: Matrix<T>, out: &mut [T]) {
    assert_eq!(left.columns, right.rows, "inner sizes of a matrix product");
    assert_eq!(out.len(), left.rows * right.columns, "output of a matrix product");
    let (rows, columns) = (left.rows, right.columns);
    // SAFETY: the three matrices cover exactly their slices (checked above and in `Matrix::new`): the largest offset is
    // (rows − 1) · row stride + (columns − 1) · column stride < len. `out` is borrowed mutably and overlaps nothing.
    // `gemm` takes f32 and f64 by the type's id, and `Element` is implemented for these two only.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            left.columns,
            out.as_mut_ptr(),
            1,
            columns as isize,
            true,
            left.data.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.data.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            T::from_f64(1.0),
            T::from_f64(1.0),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_with_and_without_transposition() {
        let a = [1.0f64, 2.0, 3.0, 4.0, 5.0, 6.0]; // 2 × 3
        let b = [1.0f64, 0.0, 2.0, 1.0, 0.0, 3.0]; // 3 × 2
        let mut out = [0.0; 4];
        multiply_add(Matrix::new(&a, 2, 3), Matrix::new(&b, 3, 2), &mut out);
        assert_eq!(out, [5.0, 11.0, 14.0, 23.0]);
        multiply_add(Matrix::new(&a, 3, 2).transposed(), Matrix::new(&b, 3, 2), &mut out);
        assert_eq!(out, [5.0 + 7.0, 11.0 + 18.0, 14.0 + 10.0, 23.0 + 22.0]);
    }
}
