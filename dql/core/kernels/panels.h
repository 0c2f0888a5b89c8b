/* Small matrix products on panels.
 *
 * A panel matrix of `rows` x `columns` is cut into strips of WIDTH columns, each stored
 * row after row: entry (i, j) lies at (j / WIDTH) rows WIDTH + i WIDTH + j % WIDTH. Rows
 * are padded to a multiple of HEIGHT and columns to one of WIDTH, with zeros, so that a
 * tile of HEIGHT x WIDTH results is all there is to compute, and lives in registers.
 * PyTorch's library takes half-width instructions on some processors, and reads and
 * writes memory between a product and its activation; a tile does both at once.
 */

#ifndef DQL_PANELS_H
#define DQL_PANELS_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#define HEIGHT 8
#elif defined(__AVX__)
#define LANES 8
#define HEIGHT 6
#elif defined(__aarch64__)
#define LANES 4
#define HEIGHT 8
#else
#define LANES 4
#define HEIGHT 4
#endif
#define WIDTH (2 * LANES)
#define TILE (HEIGHT * WIDTH)
/* WIDTH rows are so many tiles of HEIGHT, and others one row lower: with 6, 6 and 4 rows
 * of 16, the low one would leave the processor waiting for its sums. */
#define TALL (WIDTH - (WIDTH + HEIGHT - 1) / HEIGHT * (HEIGHT - 1))

typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline int64_t padded(int64_t size, int64_t unit)
{
    return (size + unit - 1) / unit * unit;
}

/* Take the next `size` floats of the workspace; sizes keep its alignment. */
static inline float *take(float **workspace, int64_t size)
{
    float *taken = *workspace;
    *workspace += padded(size, WIDTH);
    return taken;
}

static inline float *take_zeros(float **workspace, int64_t size)
{
    return memset(take(workspace, size), 0, size * sizeof(float));
}

/* One k of the tile below. */
static inline __attribute__((always_inline)) void
add_products(lanes *left, lanes *right, const int height, const float *restrict a,
             int64_t row, const float *restrict b)
{
    lanes b_left = *(const lanes *)b, b_right = *(const lanes *)(b + LANES);
#pragma GCC unroll 8
    for (int i = 0; i < height; i++) {
        left[i] += a[i * row] * b_left;
        right[i] += a[i * row] * b_right;
    }
}

/* c (height, WIDTH) += sum over k of a(i, k) b(k, :), k in `blocks` blocks of `depth`:
 * a(i, k) lies at a[i row + k column] of its block, b's rows follow one another.
 * `height` is a constant up to HEIGHT, so the sums stay in registers. With `is_panel`,
 * also a constant, the depth is WIDTH and its loop written out: its counters would take
 * a tenth of the instructions, which tells where a core is shared. */
static inline __attribute__((always_inline)) void
multiply_tile(float *restrict c, const int height, const float *restrict a, int64_t row,
              int64_t column, const float *restrict b, int64_t depth, int64_t blocks,
              int64_t block, const int is_panel)
{
    lanes left[HEIGHT], right[HEIGHT];
#pragma GCC unroll 8
    for (int i = 0; i < height; i++) {
        left[i] = *(const lanes *)(c + i * WIDTH);
        right[i] = *(const lanes *)(c + i * WIDTH + LANES);
    }
    for (int64_t q = 0; q < blocks; q++) {
        const float *entry = a + q * block;
        if (is_panel) {
#pragma GCC unroll 32
            for (int k = 0; k < WIDTH; k++)
                add_products(left, right, height, entry + k * column, row, b + k * WIDTH);
            b += WIDTH * WIDTH;
        } else
            for (int64_t k = 0; k < depth; k++) {
                add_products(left, right, height, entry, row, b);
                entry += column;
                b += WIDTH;
            }
    }
#pragma GCC unroll 8
    for (int i = 0; i < height; i++) {
        *(lanes *)(c + i * WIDTH) = left[i];
        *(lanes *)(c + i * WIDTH + LANES) = right[i];
    }
}

/* A tile of x w: x in panels of `rows` rows and `inner` columns, w's strip. */
static inline void multiply_panels(float *tile, const float *x, int64_t rows,
                                   const float *strip, int64_t inner)
{
    multiply_tile(tile, HEIGHT, x, WIDTH, 1, strip, WIDTH, inner / WIDTH, rows * WIDTH, 1);
}

/* A tile of x w: x row-major with `inner` columns. */
static inline void multiply_rows(float *tile, const float *x, int64_t stride,
                                 const float *strip, int64_t inner)
{
    multiply_tile(tile, HEIGHT, x, stride, 1, strip, inner, 1, 0, 0);
}

/* A tile of x^T g over `rows` rows; consecutive rows of x are `stride` apart. */
static inline __attribute__((always_inline)) void
multiply_transposed(float *tile, const int height, const float *x, int64_t stride,
                    const float *g, int64_t rows)
{
    multiply_tile(tile, height, x, 1, stride, g, rows, 1, 0, 0);
}

/* w += x^T g over `rows` rows, all in panels but, for the second, x, which is row-major;
 * `inner` and `columns` are x's and g's columns, padded. */
static inline void add_panel_gradient(float *w, const float *x, const float *g,
                                      int64_t rows, int64_t inner, int64_t columns)
{
    for (int64_t j = 0; j < columns; j += WIDTH)
        for (int64_t i = 0; i < inner; i += WIDTH) {
            float *tile = w + j * inner + i * WIDTH;
            const float *strip = x + i * rows;
            int k = 0;
            for (; k < TALL * HEIGHT; k += HEIGHT)
                multiply_transposed(tile + k * WIDTH, HEIGHT, strip + k, WIDTH,
                                    g + j * rows, rows);
            for (; k < WIDTH; k += HEIGHT - 1)
                multiply_transposed(tile + k * WIDTH, HEIGHT - 1, strip + k, WIDTH,
                                    g + j * rows, rows);
        }
}

static inline void add_row_gradient(float *w, const float *x, const float *g,
                                    int64_t rows, int64_t inner, int64_t columns)
{
    for (int64_t j = 0; j < columns; j += WIDTH)
        for (int64_t i = 0; i < inner; i += HEIGHT)
            multiply_transposed(w + j * inner + i * WIDTH, HEIGHT, x + i, inner,
                                g + j * rows, rows);
}

/* Write (rows, columns), entry (i, j) at from[i row + j column], as panels of
 * `padded_rows` rows; the padding becomes zero. */
static inline void to_panels(float *to, const float *from, int64_t row, int64_t column,
                             int64_t rows, int64_t padded_rows, int64_t columns)
{
    memset(to, 0, padded_rows * padded(columns, WIDTH) * sizeof *to);
    for (int64_t start = 0; start < columns; start += WIDTH, to += padded_rows * WIDTH) {
        int64_t width = columns - start < WIDTH ? columns - start : WIDTH;
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < width; j++)
                to[i * WIDTH + j] = from[i * row + (start + j) * column];
    }
}

/* The inverse: entry (i, j) goes to to[i row + j column]. */
static inline void from_panels(float *to, const float *from, int64_t row, int64_t column,
                               int64_t rows, int64_t padded_rows, int64_t columns)
{
    for (int64_t start = 0; start < columns;
         start += WIDTH, from += padded_rows * WIDTH) {
        int64_t width = columns - start < WIDTH ? columns - start : WIDTH;
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < width; j++)
                to[i * row + (start + j) * column] = from[i * WIDTH + j];
    }
}

/* The gradient of a layer's sums from that of its values: tile x slope, into `flow`;
 * its columns are added to `sums`. Rows of padding have no gradient, so they add none. */
static inline void pass_slope(const float *restrict tile, const float *restrict slope,
                              float *restrict flow, float *restrict sums)
{
    for (int i = 0; i < TILE; i++)
        flow[i] = tile[i] * slope[i];
    for (int i = 0; i < TILE; i += WIDTH)
        for (int j = 0; j < WIDTH; j++)
            sums[j] += flow[i + j];
}

static inline float sum_of(lanes parts)
{
    float sum = 0;
    for (int lane = 0; lane < LANES; lane++)
        sum += parts[lane];
    return sum;
}

/* The sum of a(i) b(i). */
static inline float dot(const float *restrict a, const float *restrict b, int64_t size)
{
    lanes parts = {0};
    int64_t i = 0;
    for (; i + LANES <= size; i += LANES)
        parts += *(const lanes *)(a + i) * *(const lanes *)(b + i);
    float sum = sum_of(parts);
    for (; i < size; i++)
        sum += a[i] * b[i];
    return sum;
}

/* out (rows, outputs; `stride` apart) = x w + out: x in panels, w^T row-major with
 * `inner` (padded) columns. For few outputs, where a strip would be mostly padding. */
static inline void add_narrow_product(float *restrict out, int64_t stride,
                                      const float *restrict x, int64_t rows,
                                      int64_t padded_rows, int64_t inner,
                                      const float *restrict transposed, int64_t outputs)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t o = 0; o < outputs; o++) {
            const float *entry = x + i * WIDTH, *weight = transposed + o * inner;
            lanes left = {0}, right = {0};
            for (int64_t k = 0; k < inner; k += WIDTH, entry += padded_rows * WIDTH) {
                left += *(const lanes *)entry * *(const lanes *)(weight + k);
                right += *(const lanes *)(entry + LANES)
                         * *(const lanes *)(weight + k + LANES);
            }
            out[i * stride + o] += sum_of(left + right);
        }
}

#endif
