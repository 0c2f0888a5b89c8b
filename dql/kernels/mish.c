/* Mish of an affine map's parts and its derivative, in one pass over memory.
 *
 * mish(x) = x tanh(log(1 + e^x)) = x n / (n + 2),  n = e^x (e^x + 2)
 * mish'(x) = n / (n + 2) + x 4 e^x (e^x + 1) / (n + 2)^2
 *
 * Arrays are (stacks, rows, columns), contiguous; `row` is (stacks, columns) and is added
 * to every row of its stack. Plain C that compilers vectorise: no intrinsics, no libm.
 */

#include <stdint.h>
#include <string.h>

/* e^x by Cody-Waite reduction to |r| <= log(2)/2 and the Taylor series to degree 7;
 * within 2 units in the last place on [-87, 20]. */
static inline float exponential(float x)
{
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float k = (x * 1.44269504f + shift) - shift;
    float r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
    float p = 1.98412698e-4f;
    p = p * r + 1.38888889e-3f;
    p = p * r + 8.33333333e-3f;
    p = p * r + 4.16666667e-2f;
    p = p * r + 1.66666667e-1f;
    p = p * r + 0.5f;
    p = (p * r) * r + r + 1.0f;
    int32_t bits = ((int32_t)k + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
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

/* y = mish(x + row + full), slope = mish'(the same); `full` and `slope` may be null. */
void mish_forward(const float *restrict x, const float *restrict row,
                  const float *restrict full, float *restrict y,
                  float *restrict slope, int64_t stacks, int64_t rows, int64_t columns)
{
    for (int64_t s = 0; s < stacks; s++, row += columns) {
        for (int64_t b = 0; b < rows; b++) {
            if (full && slope)
                for (int64_t i = 0; i < columns; i++)
                    y[i] = value_and_slope(x[i] + row[i] + full[i], &slope[i]);
            else if (full)
                for (int64_t i = 0; i < columns; i++)
                    y[i] = value(x[i] + row[i] + full[i]);
            else if (slope)
                for (int64_t i = 0; i < columns; i++)
                    y[i] = value_and_slope(x[i] + row[i], &slope[i]);
            else
                for (int64_t i = 0; i < columns; i++)
                    y[i] = value(x[i] + row[i]);
            x += columns;
            y += columns;
            full += full ? columns : 0;
            slope += slope ? columns : 0;
        }
    }
}

/* dx = dy slope, drow = its sum over the rows of each stack. */
void mish_backward(const float *restrict dy, const float *restrict slope,
                   float *restrict dx, float *restrict drow, int64_t stacks,
                   int64_t rows, int64_t columns)
{
    for (int64_t s = 0; s < stacks; s++, drow += columns) {
        memset(drow, 0, columns * sizeof *drow);
        for (int64_t b = 0; b < rows; b++) {
            for (int64_t i = 0; i < columns; i++) {
                float product = dy[i] * slope[i];
                dx[i] = product;
                drow[i] += product;
            }
            dy += columns;
            slope += columns;
            dx += columns;
        }
    }
}
