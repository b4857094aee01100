//! The sizes of a convolution.

use candle_core::Result;

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

/// All sizes of one convolution.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub batch: usize,
    pub channels: usize,
    pub rows: usize,
    pub columns: usize,
    pub filters: usize,
    pub kernel: (usize, usize),
    /// Rows and columns of the convolution's output.
    pub out: (usize, usize),
    pub geometry: Geometry,
}

impl Sizes {
    pub fn new(input: &[usize], kernel: &[usize], geometry: Geometry) -> Result<Self> {
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

    /// Values of one input image.
    pub fn image(&self) -> usize {
        self.channels * self.rows * self.columns
    }

    /// Values of one output plane.
    pub fn pixels(&self) -> usize {
        self.out.0 * self.out.1
    }

    pub fn group_channels(&self) -> usize {
        self.channels / self.geometry.groups
    }

    pub fn group_filters(&self) -> usize {
        self.filters / self.geometry.groups
    }

    /// Inputs that one output sums.
    pub fn group_taps(&self) -> usize {
        self.group_channels() * self.kernel.0 * self.kernel.1
    }

    pub fn kernel_len(&self) -> usize {
        self.filters * self.group_taps()
    }
}
