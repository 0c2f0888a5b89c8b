/* Stacked multi-layer perceptrons, forward and backward (mlp.py).
 *
 * A block of rows goes through all layers before the next starts, so that its values
 * stay in the caches, and takes a strip of weights once for all its tiles. The last
 * layer is linear and narrow.
 */

#include "activation.h"

#define BLOCK (16 * HEIGHT)

/* Sizes and pointers, as mlp.py's _Arguments lays them out. Arrays are contiguous. */
typedef struct {
    int64_t stacks, rows, layers; /* layers: affine maps, at least two */
    int64_t members;              /* so many stacks in turn share their inputs */
    int64_t is_relu, has_values; /* has_values: weights get gradients from the tapes */
    const int64_t *dims; /* layers + 1: widths from input to output */
    const float *inputs; /* (stacks / members, rows, dims[0]) */
    const float *const *weights;
    const float *const *biases;
    float *const *tapes; /* per stack `mlp_tape_size` floats, or null */
    float *workspace;    /* `mlp_workspace_size` floats */
    float *out;          /* (stacks, rows, dims[layers]) */
} mlp;

/* A null member is not wanted. */
typedef struct {
    const float *gradient; /* (stacks, rows, dims[layers]), of `out` */
    float *inputs;         /* (stacks, rows, dims[0]), each stack's own */
    float *const *weights;
    float *const *biases;
} mlp_gradients;

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

/* The hidden layers' widths in all. */
static int64_t hidden_width(const mlp *m)
{
    int64_t size = 0;
    for (int64_t layer = 1; layer < m->layers; layer++)
        size += width(m, layer);
    return size;
}

/* The tape holds, block after block, the slopes of each hidden layer, in panels, then
 * the inputs, row-major, and each hidden layer's values: so many floats a row. */
static int64_t tape_width(const mlp *m)
{
    return (m->has_values ? 2 : 1) * hidden_width(m) + padded(m->dims[0], HEIGHT);
}

int64_t mlp_tape_size(const mlp *m)
{
    return tape_width(m) * padded(m->rows, HEIGHT);
}

int64_t mlp_workspace_size(const mlp *m)
{
    /* Inputs and outputs are padded to HEIGHT in places: at most WIDTH more. */
    int64_t parameters = 0;
    for (int64_t layer = 0; layer < m->layers; layer++)
        parameters += (width(m, layer) + WIDTH + 3) * (width(m, layer + 1) + WIDTH);
    return 2 * parameters + BLOCK * (4 * widest(m) + 2 * WIDTH);
}

static void forward_stack(const mlp *m, int64_t stack)
{
    int64_t rows = m->rows, last = m->layers - 1;
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
    float *scratch = take(&workspace, BLOCK * all_inputs);
    float *buffers[2] = {take(&workspace, BLOCK * widest(m)),
                         take(&workspace, BLOCK * widest(m))};
    const float *x = 0; /* a hidden layer's values */
    float tile[TILE];

    for (int64_t start = 0; start < rows; start += BLOCK) {
        int64_t height = rows - start < BLOCK ? rows - start : BLOCK;
        int64_t block = padded(height, HEIGHT);
        float *slopes = m->tapes ? m->tapes[stack] + start * tape_width(m) : 0;
        float *entry = slopes ? slopes + block * hidden_width(m) : scratch;
        float *values = m->has_values && slopes ? entry + block * all_inputs : 0;
        memset(entry, 0, block * all_inputs * sizeof *entry);
        for (int64_t i = 0; i < height; i++)
            memcpy(entry + i * all_inputs,
                   m->inputs + (stack / m->members * rows + start + i) * inputs,
                   inputs * sizeof *entry);
        for (int64_t layer = 0; layer < last; layer++) {
            int64_t from = layer ? width(m, layer) : inputs;
            int64_t size = block * width(m, layer + 1);
            float *y = values ? values : buffers[layer % 2];
            for (int64_t j = 0; j < width(m, layer + 1); j += WIDTH) {
                const float *strip = weights[layer] + j * from;
                for (int64_t i = 0; i < block; i += HEIGHT) {
                    int64_t offset = j * block + i * WIDTH;
                    memset(tile, 0, sizeof tile);
                    if (layer)
                        multiply_panels(tile, x + i * WIDTH, block, strip, from);
                    else
                        multiply_rows(tile, entry + i * all_inputs, all_inputs, strip,
                                      from);
                    (m->is_relu ? rectify : activate)(tile, biases[layer] + j,
                                                      y + offset,
                                                      slopes ? slopes + offset : 0);
                }
            }
            x = y;
            slopes += slopes ? size : 0;
            values += values ? size : 0;
        }
        float *out = m->out + (stack * rows + start) * outputs;
        for (int64_t i = 0; i < height; i++)
            memcpy(out + i * outputs, bias, outputs * sizeof *out);
        add_narrow_product(out, outputs, x, height, block, inner, narrow, outputs);
    }
}

void mlp_forward(const mlp *m)
{
    for (int64_t stack = 0; stack < m->stacks; stack++)
        forward_stack(m, stack);
}

/* What one layer keeps over the blocks of a stack. */
typedef struct {
    int64_t inner, columns; /* its inputs and outputs, padded */
    float *transposed;      /* weights in panels: what the gradient flows back through */
    float *weights;         /* their gradient, in panels */
    float *sums;            /* the gradient of its inputs' biases */
} layer_back;

/* Bits, not numbers: a NaN is a gradient. */
static int is_zero(const float *x, int64_t size)
{
    uint32_t any = 0;
    for (int64_t i = 0; i < size; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        any |= bits & 0x7fffffff;
    }
    return any == 0;
}

static void backward_stack(const mlp *m, const mlp_gradients *to, int64_t stack)
{
    int64_t rows = m->rows, last = m->layers - 1;
    int64_t inputs = m->dims[0], all_inputs = padded(inputs, HEIGHT);
    int64_t outputs = m->dims[m->layers], all_outputs = padded(outputs, HEIGHT);
    if (!to->weights && is_zero(to->gradient + stack * rows * outputs, rows * outputs)) {
        /* The critic that an actor's coin did not choose. */
        memset(to->inputs + stack * rows * inputs, 0, rows * inputs * sizeof(float));
        return;
    }
    float *workspace = m->workspace;
    layer_back layers[m->layers];
    for (int64_t layer = 0; layer <= last; layer++) {
        int64_t from = m->dims[layer], into = m->dims[layer + 1];
        layer_back *l = &layers[layer];
        l->inner = layer ? width(m, layer) : all_inputs;
        l->columns = layer == last ? all_outputs : width(m, layer + 1);
        if (to->weights)
            l->weights = take_zeros(&workspace, l->inner * l->columns);
        l->sums = take_zeros(&workspace, width(m, layer));
        if (layer == 0 && !to->inputs)
            continue;
        int64_t depth = layer == last ? into : l->columns;
        l->transposed = take(&workspace, depth * width(m, layer));
        to_panels(l->transposed, m->weights[layer] + stack * from * into, 1, into, into,
                  depth, from);
    }
    float *bias = take_zeros(&workspace, all_outputs);
    float *gradient = take(&workspace, BLOCK * all_outputs);
    float *flow = take(&workspace, BLOCK * widest(m));
    float *next = take(&workspace, BLOCK * widest(m));
    float tile[TILE];

    for (int64_t start = 0; start < rows; start += BLOCK) {
        int64_t height = rows - start < BLOCK ? rows - start : BLOCK;
        int64_t block = padded(height, HEIGHT);
        const float *slopes = m->tapes[stack] + start * tape_width(m)
                              + block * hidden_width(m);
        const float *entry = slopes, *x = entry + block * tape_width(m)
                                          - block * hidden_width(m);
        memset(gradient, 0, block * all_outputs * sizeof *gradient);
        for (int64_t i = 0; i < height; i++) {
            memcpy(gradient + i * all_outputs,
                   to->gradient + (stack * rows + start + i) * outputs,
                   outputs * sizeof *gradient);
            for (int64_t o = 0; o < outputs; o++)
                bias[o] += gradient[i * all_outputs + o];
        }
        for (int64_t layer = last; layer >= 0; layer--) {
            const layer_back *l = &layers[layer];
            int64_t size = layer ? block * width(m, layer) : 0;
            slopes -= size;
            x -= size;
            if (to->weights) {
                if (layer == last) /* transposed: few outputs are the panels' rows */
                    add_row_gradient(l->weights, gradient, x, block, l->columns,
                                     l->inner);
                else if (layer)
                    add_panel_gradient(l->weights, x, flow, block, l->inner, l->columns);
                else
                    add_row_gradient(l->weights, entry, flow, block, l->inner,
                                     l->columns);
            }
            if (layer == 0 && !to->inputs)
                break;
            for (int64_t j = 0; j < width(m, layer); j += WIDTH)
                for (int64_t i = 0; i < block; i += HEIGHT) {
                    int64_t offset = j * block + i * WIDTH;
                    memset(tile, 0, sizeof tile);
                    if (layer == last)
                        multiply_rows(tile, gradient + i * all_outputs, all_outputs,
                                      l->transposed + j * outputs, outputs);
                    else
                        multiply_panels(tile, flow + i * WIDTH, block,
                                        l->transposed + j * l->columns, l->columns);
                    if (layer)
                        pass_slope(tile, slopes + offset, next + offset, l->sums + j);
                    else
                        memcpy(next + offset, tile, sizeof tile);
                }
            if (layer == 0)
                from_panels(to->inputs + (stack * rows + start) * inputs, next, inputs,
                            1, height, block, inputs);
            float *swap = flow;
            flow = next;
            next = swap;
        }
    }
    if (!to->weights)
        return;
    for (int64_t layer = 0; layer <= last; layer++) {
        int64_t from = m->dims[layer], into = m->dims[layer + 1];
        const layer_back *l = &layers[layer];
        float *result = to->weights[layer] + stack * from * into;
        if (layer == last)
            from_panels(result, l->weights, 1, into, into, l->columns, from);
        else
            from_panels(result, l->weights, into, 1, from, l->inner, into);
        memcpy(to->biases[layer] + stack * into,
               layer == last ? bias : layers[layer + 1].sums, into * sizeof(float));
    }
}

void mlp_backward(const mlp *m, const mlp_gradients *to)
{
    for (int64_t stack = 0; stack < m->stacks; stack++)
        backward_stack(m, to, stack);
}
