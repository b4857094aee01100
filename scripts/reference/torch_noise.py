"""Numbers that the tests draw again for themselves, so that golden files need not hold them."""

import numpy as np


def noise(shape, seed, scale=1.0):
    """Uniform in [-scale, scale), float32, 24 bits: SplitMix64 of `seed` and the position.

    `tests/torch_support/mod.rs` has the same function.
    """
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z += np.uint64(seed) * np.uint64(0xD1B54A32D192ED03)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(40)).astype(np.float64) / float(1 << 23) - 1.0
    return (unit * scale).astype(np.float32).reshape(shape)
