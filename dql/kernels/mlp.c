/* Stacked multi-layer perceptrons, forward and backward (mlp.py).
 *
 * A tile of rows goes through all layers before the next starts, so that its activations
 * stay in the first cache. The last layer is linear and narrow.
 */

#include "activation.h"

/* Sizes and pointers, as mlp.py's _Arguments lays them out. Arrays are contiguous. */
typedef struct {
    int64_t stacks, rows, layers; /* layers: affine maps, at least two */
    int64_t is_relu;
    const int64_t *dims; /* layers + 1: widths from input to output */
    const float *inputs; /* (stacks, rows, dims[0]) */
    const float *const *weights;
    const float *const *biases;
    float *const *tapes; /* per stack `mlp_tape_size` floats, or null */
    float *workspace;    /* `mlp_workspace_size` floats */
    float *out;          /* (stacks, rows, dims[layers]) */
} mlp;

/* A null member is not wanted. */
typedef struct {
    const float *gradient; /* (stacks, rows, dims[layers]), of `out` */
    float *inputs;
    float *const *weights;
    float *const *biases;
} mlp_gradients;

static int64_t padded_rows(const mlp *m)
{
    return padded(m->rows, HEIGHT);
}

/* A hidden layer's width, padded. */
static int64_t width(const mlp *m, int64_t layer)
{
    return padded(m->dims[layer], WIDTH);
}

static int64_t widest(const mlp *m)
{
    int64_t most = WIDTH;
    for (int64_t layer = 0; layer <= m->layers; layer++)
        most = width(m, layer) > most ? width(m, layer) : most;
    return most;
}

/* The tape: the inputs, row-major, then each hidden layer's values and slopes. */
int64_t mlp_tape_size(const mlp *m)
{
    int64_t size = padded(m->dims[0], HEIGHT);
    for (int64_t layer = 1; layer < m->layers; layer++)
        size += 2 * width(m, layer);
    return padded(size, WIDTH) * padded_rows(m);
}

int64_t mlp_workspace_size(const mlp *m)
{
    int64_t parameters = 0;
    for (int64_t layer = 0; layer < m->layers; layer++)
        parameters += width(m, layer) * width(m, layer + 1) + 2 * width(m, layer + 1);
    return 2 * parameters + 3 * widest(m) * padded_rows(m) + widest(m) * widest(m)
           + (m->tapes ? 0 : mlp_tape_size(m)) + 16 * WIDTH;
}

static void forward_stack(const mlp *m, int64_t stack)
{
    int64_t rows = m->rows, all_rows = padded_rows(m), last = m->layers - 1;
    int64_t inputs = m->dims[0], all_inputs = padded(inputs, HEIGHT);
    int64_t outputs = m->dims[m->layers];
    float *workspace = m->workspace;
    float *weights[last], *biases[last];
    for (int64_t layer = 0; layer < last; layer++) {
        int64_t from = m->dims[layer], to = m->dims[layer + 1];
        int64_t inner = layer ? width(m, layer) : from;
        weights[layer] = take(&workspace, inner * width(m, layer + 1));
        to_panels(weights[layer], m->weights[layer] + stack * from * to, to, 1, from,
                  inner, to);
        biases[layer] = take_zeros(&workspace, width(m, layer + 1));
        memcpy(biases[layer], m->biases[layer] + stack * to, to * sizeof(float));
    }
    int64_t behind = m->dims[last], inner = width(m, last);
    float *narrow = take_zeros(&workspace, outputs * inner);
    for (int64_t i = 0; i < behind; i++)
        for (int64_t o = 0; o < outputs; o++)
            narrow[o * inner + i] = m->weights[last][(stack * behind + i) * outputs + o];
    const float *bias = m->biases[last] + stack * outputs;
    float *tape = m->tapes ? m->tapes[stack] : take(&workspace, mlp_tape_size(m));
    memset(tape, 0, all_rows * all_inputs * sizeof *tape);
    for (int64_t i = 0; i < rows; i++)
        memcpy(tape + i * all_inputs, m->inputs + (stack * rows + i) * inputs,
               inputs * sizeof *tape);
    float *out = m->out + stack * rows * outputs;
    float tile[TILE];

    for (int64_t start = 0; start < rows; start += HEIGHT) {
        const float *x = tape;
        float *y = tape + all_rows * all_inputs;
        for (int64_t layer = 0; layer < last; layer++) {
            int64_t strips = width(m, layer + 1) / WIDTH;
            int64_t from = layer ? width(m, layer) : inputs;
            float *slopes = m->tapes ? y + all_rows * width(m, layer + 1) : 0;
            for (int64_t j = 0; j < strips; j++) {
                int64_t offset = (j * all_rows + start) * WIDTH;
                const float *strip = weights[layer] + j * from * WIDTH;
                memset(tile, 0, sizeof tile);
                if (layer)
                    multiply_panels(tile, x + start * WIDTH, all_rows, strip, from);
                else
                    multiply_rows(tile, x + start * all_inputs, all_inputs, strip, from);
                (m->is_relu ? rectify : activate)(tile, biases[layer] + j * WIDTH,
                                                  y + offset,
                                                  slopes ? slopes + offset : 0);
            }
            x = y;
            y += 2 * all_rows * width(m, layer + 1);
        }
        int64_t height = rows - start < HEIGHT ? rows - start : HEIGHT;
        for (int64_t i = start; i < start + height; i++)
            memcpy(out + i * outputs, bias, outputs * sizeof *out);
        add_narrow_product(out + start * outputs, outputs, x + start * WIDTH, height,
                           all_rows, inner, narrow, outputs);
    }
}

void mlp_forward(const mlp *m)
{
    for (int64_t stack = 0; stack < m->stacks; stack++)
        forward_stack(m, stack);
}

static void backward_stack(const mlp *m, const mlp_gradients *to, int64_t stack)
{
    int64_t rows = m->rows, all_rows = padded_rows(m), last = m->layers - 1;
    int64_t inputs = m->dims[0], all_inputs = padded(inputs, HEIGHT);
    int64_t outputs = m->dims[m->layers], all_outputs = padded(outputs, HEIGHT);
    float *workspace = m->workspace;
    float *flow = take(&workspace, widest(m) * all_rows);
    float *next = take(&workspace, widest(m) * all_rows);
    float *gradient = take_zeros(&workspace, all_outputs * all_rows);
    for (int64_t i = 0; i < rows; i++)
        memcpy(gradient + i * all_outputs, to->gradient + (stack * rows + i) * outputs,
               outputs * sizeof *gradient);
    const float *tape = m->tapes[stack], *x = tape + all_rows * all_inputs;
    for (int64_t layer = 1; layer < last; layer++)
        x += 2 * all_rows * width(m, layer);
    float tile[TILE];

    for (int64_t layer = last; layer >= 0; layer--) {
        int64_t from = m->dims[layer], into = m->dims[layer + 1];
        int64_t columns = layer == last ? all_outputs : width(m, layer + 1);
        const float *weight = m->weights[layer] + stack * from * into;
        float *mark = workspace; /* what a layer takes is free after it */
        if (to->weights) {
            float *result = to->weights[layer] + stack * from * into;
            if (layer == last) { /* transposed: its few outputs are the panels' rows */
                float *panels = take_zeros(&workspace, columns * width(m, layer));
                add_row_gradient(panels, gradient, x, all_rows, columns,
                                 width(m, layer));
                from_panels(result, panels, 1, into, into, columns, from);
            } else {
                int64_t inner = layer ? width(m, layer) : all_inputs;
                float *panels = take_zeros(&workspace, inner * columns);
                if (layer)
                    add_panel_gradient(panels, x, flow, all_rows, inner, columns);
                else
                    add_row_gradient(panels, tape, flow, all_rows, inner, columns);
                from_panels(result, panels, into, 1, from, inner, into);
            }
            workspace = mark;
        }
        if (to->biases && layer == last) {
            float *sums = to->biases[layer] + stack * into;
            memset(sums, 0, into * sizeof *sums);
            for (int64_t i = 0; i < rows; i++)
                for (int64_t o = 0; o < into; o++)
                    sums[o] += gradient[i * all_outputs + o];
        }
        if (layer == 0 && !to->inputs)
            break;
        int64_t inner = layer == last ? into : columns;
        float *transposed = take(&workspace, inner * width(m, layer));
        to_panels(transposed, weight, 1, into, into, inner, from);
        float *sums = take_zeros(&workspace, width(m, layer));
        for (int64_t j = 0; j < width(m, layer); j += WIDTH)
            for (int64_t start = 0; start < all_rows; start += HEIGHT) {
                int64_t offset = j * all_rows + start * WIDTH;
                memset(tile, 0, sizeof tile);
                if (layer == last)
                    multiply_rows(tile, gradient + start * all_outputs, all_outputs,
                                  transposed + j * inner, inner);
                else
                    multiply_panels(tile, flow + start * WIDTH, all_rows,
                                    transposed + j * inner, inner);
                if (layer)
                    pass_slope(tile, x + all_rows * width(m, layer) + offset,
                               next + offset, sums + j);
                else
                    memcpy(next + offset, tile, sizeof tile);
            }
        if (layer && to->biases)
            memcpy(to->biases[layer - 1] + stack * from, sums, from * sizeof *sums);
        if (layer == 0)
            from_panels(to->inputs + stack * rows * inputs, next, inputs, 1, rows,
                        all_rows, inputs);
        workspace = mark;
        float *swap = flow;
        flow = next;
        next = swap;
        if (layer > 1)
            x -= 2 * all_rows * width(m, layer - 1);
    }
}

void mlp_backward(const mlp *m, const mlp_gradients *to)
{
    for (int64_t stack = 0; stack < m->stacks; stack++)
        backward_stack(m, to, stack);
}
