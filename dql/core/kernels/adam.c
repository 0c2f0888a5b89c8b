/* One step of Adam for stacked runs, each run's gradient clipped first (adam.py).
 *
 * Separate operations pass over gradients, moments and parameters seven times; here a
 * gradient is read for its norm and again for the step, and everything else once.
 */

#include <math.h>

#include "activation.h"

/* Sizes and pointers, as adam.py's _Arguments lays them out. A tensor's runs follow one
 * another, `sizes` numbers each. */
typedef struct {
    int64_t tensors, runs;
    const int64_t *sizes;
    float *const *parameters;
    const float *const *gradients;
    float *const *first_moments;
    float *const *second_moments;
    const float *max_norms; /* (runs), or null: no clipping and no norms */
    float *norms;           /* (runs), before clipping */
    /* learning rate / (1 - beta1^t) and 1 / sqrt(1 - beta2^t), at step t */
    float step_size, second_scale;
    /* beta2 and what a new gradient weighs: 1 - beta1, 1 - beta2, each rounded once */
    float beta2, first_weight, second_weight, epsilon;
} adam;

#define SUMS 32

/* The sum of squares; many sums side by side keep the float's rounding small. */
static double squares(const float *restrict x, int64_t size)
{
    float sums[SUMS] = {0};
    int64_t i = 0;
    for (; i + SUMS <= size; i += SUMS)
        for (int k = 0; k < SUMS; k++)
            sums[k] += x[i + k] * x[i + k];
    double total = 0;
    for (; i < size; i++)
        total += (double)x[i] * x[i];
    for (int k = 0; k < SUMS; k++)
        total += sums[k];
    return total;
}

static float clipping_factor(const adam *a, int64_t run)
{
    double total = 0;
    for (int64_t t = 0; t < a->tensors; t++)
        total += squares(a->gradients[t] + run * a->sizes[t], a->sizes[t]);
    a->norms[run] = (float)sqrt(total);
    return clamped(a->max_norms[run] / (a->norms[run] + 1e-6f));
}

static void step(const adam *a, float factor, int64_t size, float *restrict p,
                 const float *restrict gradient, float *restrict first,
                 float *restrict second)
{
    for (int64_t i = 0; i < size; i++) {
        float g = factor * gradient[i];
        first[i] += a->first_weight * (g - first[i]);
        second[i] = a->beta2 * second[i] + a->second_weight * g * g;
        p[i] -= a->step_size * first[i]
                / (sqrtf(second[i]) * a->second_scale + a->epsilon);
    }
}

void adam_step(const adam *a)
{
    for (int64_t run = 0; run < a->runs; run++) {
        float factor = a->max_norms ? clipping_factor(a, run) : 1.0f;
        for (int64_t t = 0; t < a->tensors; t++) {
            int64_t at = run * a->sizes[t];
            step(a, factor, a->sizes[t], a->parameters[t] + at, a->gradients[t] + at,
                 a->first_moments[t] + at, a->second_moments[t] + at);
        }
    }
}
