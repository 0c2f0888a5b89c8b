/* The reverse diffusion chain of stacked runs, forward and backward (reverse_chain.py).
 *
 * Runs do not meet, and neither do rows forward: a block of rows goes through the whole
 * chain before the next starts, so that its activations stay in the first cache, and
 * takes a strip of weights, which comes from the second, once for all its tiles.
 */

#include "activation.h"

#define BLOCK (4 * HEIGHT)
#define NUMBERS 5

/* Sizes and pointers, as chain.py's _Arguments lays them out. Arrays are contiguous. The
 * first layer takes actions, an embedded denoising step and observations, in this order;
 * its share of the latter two is computed once. */
typedef struct {
    int64_t runs, steps, rows, actions, embedded, observed;
    int64_t hidden, layers;    /* layers: hidden x hidden */
    const float *noise;        /* (runs, steps, rows, actions) */
    const float *observations; /* (runs, rows, observed) */
    const float *embedding;    /* (runs, steps, embedded) */
    const float *const *weights;
    const float *const *biases;
    const float *schedule; /* (steps, NUMBERS): noisy_scale, output_scale,
                              noisy_weight, clean_weight, noise_scale */
    float *const *tapes;   /* per run `chain_tape_size` floats, or null */
    float *workspace;      /* `chain_workspace_size` floats */
    float *out;            /* (runs, rows, actions) */
} chain;

typedef struct {
    const float *gradient; /* (runs, rows, actions), of `out` */
    float *embedding;
    float *const *weights;
    float *const *biases;
} chain_gradients;

typedef struct {
    int64_t rows, actions, observed, hidden; /* padded */
    int64_t panels, narrow;        /* floats of (rows, hidden) and (rows, actions) */
    int64_t square;                /* floats of (hidden, hidden) */
} sizes;

static sizes padded_sizes(const chain *c)
{
    sizes s = {padded(c->rows, HEIGHT), padded(c->actions, HEIGHT),
               padded(c->observed, HEIGHT), padded(c->hidden, WIDTH), 0, 0, 0};
    s.panels = s.rows * s.hidden;
    s.narrow = s.rows * s.actions;
    s.square = s.hidden * s.hidden;
    return s;
}

/* One step's tape: noised and clean actions, then each hidden layer's sums. Their
 * activations are computed again backward: that is cheaper than to read them back. */
static int64_t step_size(const chain *c, const sizes *s)
{
    return 2 * s->narrow + (c->layers + 1) * s->panels;
}

int64_t chain_tape_size(const chain *c)
{
    sizes s = padded_sizes(c);
    return c->steps * step_size(c, &s);
}

int64_t chain_workspace_size(const chain *c)
{
    sizes s = padded_sizes(c);
    int64_t parameters = (c->layers + 1) * s.square
                         + (2 * s.actions + s.observed) * s.hidden
                         + (c->layers + 2) * s.hidden;
    int64_t batch = s.rows * s.observed + c->steps * s.hidden;
    return 2 * parameters + batch + 5 * s.panels + 2 * BLOCK * s.hidden + 4 * s.narrow;
}

/* y = mish(tile + row) for a tile of results; the sums too, unless that is null. */
static inline void add_and_activate(const float *restrict tile,
                                    const float *restrict row, float *restrict sums,
                                    float *restrict y)
{
    for (int i = 0; i < TILE; i += WIDTH) {
        for (int j = 0; j < WIDTH; j++)
            y[i + j] = value(tile[i + j] + row[j]);
        if (sums)
            for (int j = 0; j < WIDTH; j++)
                sums[i + j] = tile[i + j] + row[j];
    }
}

/* A run's first weight, from the row of its `part` on. */
static const float *first_weight(const chain *c, int64_t run, int64_t part)
{
    int64_t inputs = c->actions + c->embedded + c->observed;
    return c->weights[0] + (run * inputs + part) * c->hidden;
}

/* A run's observations, padded to s->observed columns and s->rows rows. */
static void pad_observations(float *to, const chain *c, const sizes *s, int64_t run)
{
    memset(to, 0, s->rows * s->observed * sizeof *to);
    for (int64_t i = 0; i < c->rows; i++)
        memcpy(to + i * s->observed, c->observations + (run * c->rows + i) * c->observed,
               c->observed * sizeof *to);
}

static void forward_run(const chain *c, const sizes *s, int64_t run)
{
    int64_t rows = c->rows, actions = c->actions, hidden = c->hidden;
    int64_t layers = c->layers, strips = s->hidden / WIDTH;
    float *workspace = c->workspace;
    float *first = take(&workspace, s->actions * s->hidden);
    to_panels(first, first_weight(c, run, 0), hidden, 1, actions, actions, hidden);
    float *squares = take(&workspace, layers * s->square);
    float *biases = take_zeros(&workspace, layers * s->hidden);
    for (int64_t layer = 0; layer < layers; layer++) {
        to_panels(squares + layer * s->square,
                  c->weights[layer + 1] + run * hidden * hidden, hidden, 1, hidden,
                  s->hidden, hidden);
        memcpy(biases + layer * s->hidden, c->biases[layer + 1] + run * hidden,
               hidden * sizeof(float));
    }
    float *last = take_zeros(&workspace, actions * s->hidden);
    for (int64_t a = 0; a < actions; a++)
        for (int64_t i = 0; i < hidden; i++)
            last[a * s->hidden + i]
                = c->weights[layers + 1][(run * hidden + i) * actions + a];
    const float *last_bias = c->biases[layers + 1] + run * actions;
    float *times = take_zeros(&workspace, c->steps * s->hidden);
    for (int64_t step = 0; step < c->steps; step++) {
        float *time = times + step * s->hidden;
        const float *embedding = c->embedding + (run * c->steps + step) * c->embedded;
        memcpy(time, c->biases[0] + run * hidden, hidden * sizeof *time);
        for (int64_t t = 0; t < c->embedded; t++) {
            const float *weight = first_weight(c, run, actions + t);
            for (int64_t i = 0; i < hidden; i++)
                time[i] += embedding[t] * weight[i];
        }
    }
    float *seen = take(&workspace, s->observed * s->hidden);
    to_panels(seen, first_weight(c, run, actions + c->embedded), hidden, 1, c->observed,
              c->observed, hidden);
    float *observations = take(&workspace, s->rows * s->observed);
    pad_observations(observations, c, s, run);
    float *states = take_zeros(&workspace, s->panels);
    for (int64_t j = 0; j < strips; j++)
        for (int64_t i = 0; i < s->rows; i += HEIGHT)
            multiply_rows(states + (j * s->rows + i) * WIDTH,
                          observations + i * s->observed, s->observed,
                          seen + j * c->observed * WIDTH, c->observed);
    float *scratch = take(&workspace, 2 * s->narrow);
    float *x = take(&workspace, BLOCK * s->hidden); /* a layer's values, one block high */
    float *y = take(&workspace, BLOCK * s->hidden);
    const float *noise = c->noise + run * c->steps * rows * actions;
    float *out = c->out + run * rows * actions;
    float now[BLOCK * s->actions], outputs[BLOCK * s->actions], tile[TILE];

    for (int64_t start = 0; start < rows; start += BLOCK) {
        int64_t block = s->rows - start < BLOCK ? s->rows - start : BLOCK;
        int64_t height = rows - start < BLOCK ? rows - start : BLOCK;
        memset(now, 0, sizeof now);
        for (int64_t i = 0; i < height; i++)
            memcpy(now + i * s->actions, noise + (start + i) * actions,
                   actions * sizeof *now);
        for (int64_t step = c->steps - 1; step >= 0; step--) {
            const float *numbers = c->schedule + NUMBERS * step;
            float *tape = c->tapes ? c->tapes[run] + step * step_size(c, s) : 0;
            float *noised = (tape ? tape : scratch) + start * s->actions;
            float *clean = noised + s->narrow;
            memcpy(noised, now, block * s->actions * sizeof *now);
            const float *time = times + step * s->hidden;
            float *sums = tape ? tape + 2 * s->narrow : 0;
            for (int64_t j = 0; j < strips; j++)
                for (int64_t i = 0; i < block; i += HEIGHT) {
                    int64_t offset = (j * s->rows + start + i) * WIDTH;
                    memcpy(tile, states + offset, sizeof tile);
                    multiply_rows(tile, now + i * s->actions, s->actions,
                                  first + j * actions * WIDTH, actions);
                    add_and_activate(tile, time + j * WIDTH, sums ? sums + offset : 0,
                                     x + (j * block + i) * WIDTH);
                }
            for (int64_t layer = 0; layer < layers; layer++) {
                const float *w = squares + layer * s->square;
                sums += sums ? s->panels : 0;
                for (int64_t j = 0; j < strips; j++)
                    for (int64_t i = 0; i < block; i += HEIGHT) {
                        int64_t offset = (j * s->rows + start + i) * WIDTH;
                        memset(tile, 0, sizeof tile);
                        multiply_panels(tile, x + i * WIDTH, block,
                                        w + j * s->hidden * WIDTH, s->hidden);
                        add_and_activate(tile, biases + layer * s->hidden + j * WIDTH,
                                         sums ? sums + offset : 0,
                                         y + (j * block + i) * WIDTH);
                    }
                float *swap = x;
                x = y;
                y = swap;
            }
            memset(outputs, 0, sizeof outputs);
            for (int64_t i = 0; i < height; i++)
                memcpy(outputs + i * s->actions, last_bias, actions * sizeof *outputs);
            add_narrow_product(outputs, s->actions, x, height, block, s->hidden, last,
                               actions);
            for (int64_t i = 0; i < block * s->actions; i++) {
                clean[i] = numbers[0] * now[i] + numbers[1] * outputs[i];
                now[i] = numbers[2] * now[i] + numbers[3] * clamped(clean[i]);
            }
            if (step == 0) /* the last reverse step adds no noise */
                break;
            const float *fresh = noise + ((c->steps - step) * rows + start) * actions;
            for (int64_t i = 0; i < height; i++)
                for (int64_t a = 0; a < actions; a++)
                    now[i * s->actions + a] += numbers[4] * fresh[i * actions + a];
        }
        for (int64_t i = 0; i < height; i++)
            memcpy(out + (start + i) * actions, now + i * s->actions,
                   actions * sizeof *out);
    }
}

void chain_forward(const chain *c)
{
    sizes s = padded_sizes(c);
    for (int64_t run = 0; run < c->runs; run++)
        forward_run(c, &s, run);
}

static void backward_run(const chain *c, const chain_gradients *to, const sizes *s,
                         int64_t run)
{
    int64_t rows = c->rows, actions = c->actions, hidden = c->hidden;
    int64_t layers = c->layers, strips = s->hidden / WIDTH;
    float *workspace = c->workspace;
    /* Transposed weights: what the gradient flows back through. */
    float *last = take(&workspace, s->actions * s->hidden);
    to_panels(last, c->weights[layers + 1] + run * hidden * actions, 1, actions, actions,
              actions, hidden);
    float *squares = take(&workspace, layers * s->square);
    for (int64_t layer = 0; layer < layers; layer++)
        to_panels(squares + layer * s->square,
                  c->weights[layer + 1] + run * hidden * hidden, 1, hidden, hidden,
                  s->hidden, hidden);
    float *first = take_zeros(&workspace, actions * s->hidden);
    for (int64_t a = 0; a < actions; a++)
        memcpy(first + a * s->hidden, first_weight(c, run, a), hidden * sizeof *first);
    /* Gradients of weights and biases, in panels. */
    float *first_gradient = take_zeros(&workspace, s->actions * s->hidden);
    float *seen_gradient = take_zeros(&workspace, s->observed * s->hidden);
    float *first_bias = take_zeros(&workspace, s->hidden);
    float *last_gradient = take_zeros(&workspace, s->actions * s->hidden);
    float *square_gradients = take_zeros(&workspace, layers * s->square);
    float *bias_gradients = take_zeros(&workspace, layers * s->hidden);
    float *last_bias = take_zeros(&workspace, s->actions);
    float *states = take_zeros(&workspace, s->panels);
    float *time = take(&workspace, s->hidden);
    float *observations = take(&workspace, s->rows * s->observed);
    pad_observations(observations, c, s, run);
    int64_t inputs = actions + c->embedded + c->observed;
    float *first_result = to->weights[0] + run * inputs * hidden;
    float *time_result = first_result + actions * hidden;
    memset(time_result, 0, c->embedded * hidden * sizeof *time_result);
    float *flow = take(&workspace, s->panels), *next = take(&workspace, s->panels);
    float *x = take(&workspace, s->panels), *slopes = take(&workspace, s->panels);
    /* The gradients of a step's result, of its clean action and of its output. */
    float *gradient = take_zeros(&workspace, s->narrow);
    float *clean_gradient = take_zeros(&workspace, s->narrow);
    float *output_gradient = take_zeros(&workspace, s->narrow);
    float tile[TILE];
    for (int64_t i = 0; i < rows; i++)
        memcpy(gradient + i * s->actions, to->gradient + (run * rows + i) * actions,
               actions * sizeof *gradient);

    for (int64_t step = 0; step < c->steps; step++) {
        const float *numbers = c->schedule + NUMBERS * step;
        const float *noised = c->tapes[run] + step * step_size(c, s);
        const float *clean = noised + s->narrow;
        const float *from = clean + s->narrow + layers * s->panels;
        for (int64_t i = 0; i < s->panels; i++)
            x[i] = value_and_slope(from[i], &slopes[i]);
        for (int64_t i = 0; i < s->narrow; i++) {
            float inside = clean[i] >= -1.0f && clean[i] <= 1.0f ? numbers[3] : 0.0f;
            clean_gradient[i] = gradient[i] * inside;
            output_gradient[i] = numbers[1] * clean_gradient[i];
        }
        for (int64_t i = 0; i < rows; i++)
            for (int64_t a = 0; a < actions; a++)
                last_bias[a] += output_gradient[i * s->actions + a];
        add_row_gradient(last_gradient, output_gradient, x, s->rows, s->actions, s->hidden);
        float *sums = layers ? bias_gradients + (layers - 1) * s->hidden : time;
        memset(time, 0, s->hidden * sizeof *time);
        for (int64_t j = 0; j < strips; j++)
            for (int64_t start = 0; start < s->rows; start += HEIGHT) {
                int64_t offset = (j * s->rows + start) * WIDTH;
                memset(tile, 0, sizeof tile);
                multiply_rows(tile, output_gradient + start * s->actions, s->actions,
                              last + j * actions * WIDTH, actions);
                pass_slope(tile, slopes + offset, flow + offset, sums + j * WIDTH);
            }
        for (int64_t layer = layers - 1; layer >= 0; layer--) {
            const float *w = squares + layer * s->square;
            from -= s->panels;
            for (int64_t i = 0; i < s->panels; i++)
                x[i] = value_and_slope(from[i], &slopes[i]);
            add_panel_gradient(square_gradients + layer * s->square, x, flow, s->rows,
                               s->hidden, s->hidden);
            sums = layer ? bias_gradients + (layer - 1) * s->hidden : time;
            for (int64_t j = 0; j < strips; j++)
                for (int64_t start = 0; start < s->rows; start += HEIGHT) {
                    int64_t offset = (j * s->rows + start) * WIDTH;
                    memset(tile, 0, sizeof tile);
                    multiply_panels(tile, flow + start * WIDTH, s->rows,
                                    w + j * s->hidden * WIDTH, s->hidden);
                    pass_slope(tile, slopes + offset, next + offset, sums + j * WIDTH);
                }
            float *swap = flow;
            flow = next;
            next = swap;
        }
        add_row_gradient(first_gradient, noised, flow, s->rows, s->actions, s->hidden);
        for (int64_t i = 0; i < s->panels; i++)
            states[i] += flow[i];
        for (int64_t i = 0; i < hidden; i++)
            first_bias[i] += time[i];
        for (int64_t t = 0; t < c->embedded; t++) {
            int64_t entry = (run * c->steps + step) * c->embedded + t;
            for (int64_t i = 0; i < hidden; i++)
                time_result[t * hidden + i] += c->embedding[entry] * time[i];
            to->embedding[entry] = dot(time, first_weight(c, run, actions + t), hidden);
        }
        for (int64_t i = 0; i < s->narrow; i++)
            gradient[i] = numbers[2] * gradient[i] + numbers[0] * clean_gradient[i];
        add_narrow_product(gradient, s->actions, flow, rows, s->rows, s->hidden, first,
                           actions);
    }

    add_row_gradient(seen_gradient, observations, states, s->rows, s->observed,
                     s->hidden);
    from_panels(first_result, first_gradient, hidden, 1, actions, s->actions, hidden);
    from_panels(time_result + c->embedded * hidden, seen_gradient, hidden, 1,
                c->observed, s->observed, hidden);
    memcpy(to->biases[0] + run * hidden, first_bias, hidden * sizeof(float));
    for (int64_t layer = 0; layer < layers; layer++) {
        from_panels(to->weights[layer + 1] + run * hidden * hidden,
                    square_gradients + layer * s->square, hidden, 1, hidden, s->hidden,
                    hidden);
        memcpy(to->biases[layer + 1] + run * hidden, bias_gradients + layer * s->hidden,
               hidden * sizeof(float));
    }
    from_panels(to->weights[layers + 1] + run * hidden * actions, last_gradient, 1,
                actions, actions, s->actions, hidden);
    memcpy(to->biases[layers + 1] + run * actions, last_bias, actions * sizeof(float));
}

void chain_backward(const chain *c, const chain_gradients *to)
{
    sizes s = padded_sizes(c);
    for (int64_t run = 0; run < c->runs; run++)
        backward_run(c, to, &s, run);
}
