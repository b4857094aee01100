// Conversions between float and the small float formats, round to nearest even.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace cuda_emulator {

inline uint32_t float_bits(float x) {
    uint32_t b;
    std::memcpy(&b, &x, 4);
    return b;
}

inline float bits_float(uint32_t b) {
    float x;
    std::memcpy(&x, &b, 4);
    return x;
}

// A float whose further rounding to at most 22 bits of precision gives the
// same as rounding the double once (round to odd).
inline float double_to_odd_float(double x) {
    float y = static_cast<float>(x);
    if (std::isnan(x) || std::isinf(y) || static_cast<double>(y) == x) return y;
    uint32_t b = float_bits(y);
    if (std::fabs(static_cast<double>(y)) > std::fabs(x)) b -= 1;
    return bits_float(b | 1);
}

inline uint16_t float_to_bfloat16_bits(float x) {
    uint32_t b = float_bits(x);
    if ((b & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return static_cast<uint16_t>((b + 0x7fffu + ((b >> 16) & 1u)) >> 16);
}

inline float bfloat16_bits_to_float(uint16_t b) {
    return bits_float(static_cast<uint32_t>(b) << 16);
}

inline uint16_t float_to_half_bits(float x) {
    uint32_t b = float_bits(x);
    uint32_t sign = (b >> 16) & 0x8000u;
    uint32_t a = b & 0x7fffffffu;
    if (a > 0x7f800000u) return 0x7fff;
    if (a >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
    if (a < 0x38800000u) {
        // Below the normal range: count in units of 2^-24, rounded to even.
        float units = bits_float(a) * 16777216.0f;
        return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyintf(units)));
    }
    a -= 0x38000000u;
    return static_cast<uint16_t>(sign | ((a + 0xfffu + ((a >> 13) & 1u)) >> 13));
}

inline float half_bits_to_float(uint16_t h) {
    uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
    uint32_t a = h & 0x7fffu;
    if (a >= 0x7c00u) return bits_float(sign | 0x7f800000u | ((a & 0x3ffu) << 13));
    float x = a < 0x400u ? static_cast<float>(a) / 16777216.0f : bits_float((a << 13) + 0x38000000u);
    return bits_float(float_bits(x) | sign);
}

// Format E4M3: no infinity, NaN is 0x7f, values beyond 448 saturate.
inline uint8_t float_to_e4m3_bits(float x) {
    uint32_t b = float_bits(x);
    uint8_t sign = static_cast<uint8_t>((b >> 24) & 0x80u);
    float a = std::fabs(x);
    if (std::isnan(x)) return static_cast<uint8_t>(sign | 0x7f);
    if (a >= 448.0f) return static_cast<uint8_t>(sign | 0x7e);
    if (a < 0.015625f) {
        return static_cast<uint8_t>(sign | static_cast<int>(std::nearbyintf(a * 512.0f)));
    }
    uint32_t c = float_bits(a);
    c = (c + 0x7ffffu + ((c >> 20) & 1u)) >> 20;
    c -= (127 - 7) << 3;
    if (c > 0x7e) c = 0x7e;
    return static_cast<uint8_t>(sign | c);
}

inline float e4m3_bits_to_float(uint8_t v) {
    uint32_t a = v & 0x7fu;
    float x;
    if (a == 0x7f) {
        x = bits_float(0x7fc00000u);
    } else if (a < 8) {
        x = static_cast<float>(a) / 512.0f;
    } else {
        x = bits_float((a << 20) + ((127 - 7) << 23));
    }
    return (v & 0x80u) ? -x : x;
}

}  // namespace cuda_emulator
