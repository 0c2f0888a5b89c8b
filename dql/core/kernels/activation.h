/* Mish, ReLU, their derivatives and clamping, for one number and for a tile of results.
 *
 * mish(x) = x tanh(log(1 + e^x)) = x n / (n + 2),  n = e^x (e^x + 2)
 * mish'(x) = n / (n + 2) + x 4 e^x (e^x + 1) / (n + 2)^2
 *
 * Plain C that compilers vectorise: no intrinsics, no libm. A NaN stays one: Mish
 * multiplies by x, and ReLU compares bits, since floats may be taken for finite.
 */

#ifndef DQL_ACTIVATION_H
#define DQL_ACTIVATION_H

#include "panels.h"

/* e^x = 2^k 2^r, |r| <= 1/2, with the polynomial of degree 5 whose largest relative error
 * is least: 9e-8. Rounded log2(e) adds 1.3e-8 |x|, which x e^x makes small. */
static inline float exponential(float x)
{
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, */
    float k = x * 1.44269504f + shift; /* which the lowest bits then hold */
    uint32_t exponent, bits;
    memcpy(&exponent, &k, sizeof k);
    k -= shift;
    float r = x * 1.44269504f - k;
    float p = 1.32647273e-3f;
    p = p * r + 9.67151299e-3f;
    p = p * r + 5.55073358e-2f;
    p = p * r + 2.40222424e-1f;
    p = p * r + 6.93147004e-1f;
    p = p * r + 1.0f;
    memcpy(&bits, &p, sizeof p);
    bits += exponent << 23; /* p 2^k */
    memcpy(&p, &bits, sizeof p);
    return p;
}

/* Beyond these bounds mish(x) is x or, to float precision of x e^x, 0. */
static inline float bounded(float x)
{
    x = x > 20.0f ? 20.0f : x;
    return x < -87.0f ? -87.0f : x;
}

static inline float value(float x)
{
    float e = exponential(bounded(x));
    float n = e * (e + 2.0f);
    return x * (n / (n + 2.0f));
}

static inline float value_and_slope(float x, float *slope)
{
    float e = exponential(bounded(x));
    float n = e * (e + 2.0f);
    float inverse = 1.0f / (n + 2.0f);
    float ratio = n * inverse;
    *slope = ratio + 4.0f * x * (e * inverse) * ((e + 1.0f) * inverse);
    return x * ratio;
}

/* Clamp to [-1, 1]. A NaN passes: the comparisons are of bits, because the compiler may
 * take floats for finite. */
static inline float clamped(float x)
{
    const uint32_t one = 0x3f800000, infinity = 0x7f800000;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > one && magnitude <= infinity)
        bits = (bits & 0x80000000) | one;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Negative numbers have the sign bit, and as integers end where NaNs begin. */
static inline float rectified(float x, float *slope)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int is_zero = bits <= (int32_t)0xff800000 || bits == 0;
    *slope = is_zero ? 0.0f : 1.0f;
    return is_zero ? 0.0f : x;
}

/* y = mish(tile + row), slope = mish' there unless null, for a tile of results. */
static inline void activate(const float *restrict tile, const float *restrict row,
                            float *restrict y, float *restrict slope)
{
    for (int i = 0; i < TILE; i += WIDTH)
        if (slope)
            for (int j = 0; j < WIDTH; j++)
                y[i + j] = value_and_slope(tile[i + j] + row[j], &slope[i + j]);
        else
            for (int j = 0; j < WIDTH; j++)
                y[i + j] = value(tile[i + j] + row[j]);
}

/* The same for ReLU. */
static inline void rectify(const float *restrict tile, const float *restrict row,
                           float *restrict y, float *restrict slope)
{
    for (int i = 0; i < TILE; i += WIDTH)
        for (int j = 0; j < WIDTH; j++) {
            float unused;
            y[i + j] = rectified(tile[i + j] + row[j], &unused);
        }
    if (slope)
        for (int i = 0; i < TILE; i += WIDTH)
            for (int j = 0; j < WIDTH; j++)
                rectified(tile[i + j] + row[j], &slope[i + j]);
}

#endif
