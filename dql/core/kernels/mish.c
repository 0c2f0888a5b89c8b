/* Mish of an affine map's parts and its derivative, in one pass over memory.
 *
 * Arrays are (stacks, rows, columns), contiguous; `row` is (stacks, columns) and is added
 * to every row of its stack.
 */

#include "activation.h"

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
