// What happens to each row alone: norms, activation, rotation, and keys and values on their way to the state.

#pragma once
#include "numbers.h"

static const i64 WORTH_SHARING_ROWS = 1 << 14;  // numbers: with fewer one thread is done before others woke

struct Norm {
    const void *weight;  // number if it rounds first, float if not; null: no norm
    float eps;
    int32_t rounds_first;
};

// What is the same in every step: one for each layer.
struct Heads {
    Norm query_norm, key_norm;
    const number *cos, *sin;  // [positions, rotated], sin with the sign that it is added with; null: not rotated
    i64 heads, kv_heads, dim, rotated, window;
    i64 key_slab, key_first, value_slab, value_first;
    float scale, cap;  // cap 0: none
};

// What is the same for all layers of a step. Chunk c: `count[c]` tokens from position `start[c]` on, at row `row[c]`.
struct Step {
    i64 chunks, rows, slabs;
    const i64 *row, *start, *count, *capacity;
    number *const *slab;  // [chunks, slabs]
    const i64 *position;  // [rows]
    i64 blocks;           // of rows of one chunk that are looked for here, together
    const i64 *block;     // [blocks, 3]: chunk, first row within it, rows
};

static void norm_row(const number *x, number *out, const Norm &norm, i64 width) {
    lanes sums = {};
    float rest = 0;
    i64 i = 0;
    for (; i + 16 <= width; i += 16) sums += loaded(x + i) * loaded(x + i);
    for (; i < width; i++) rest += (float)x[i] * (float)x[i];
    const float factor = 1.0f / std::sqrt((sum_of(sums) + rest) / width + norm.eps);
    if (norm.rounds_first) {
        const number *weight = (const number *)norm.weight;
        along(width, [&](i64 at, auto value) {
            decltype(value) w;
            get(x + at, value), get(weight + at, w);
            put(out + at, rounded(value * factor) * w);
        });
    } else {
        const float *weight = (const float *)norm.weight;
        along(width, [&](i64 at, auto value) {
            decltype(value) w;
            get(x + at, value), std::memcpy(&w, weight + at, sizeof w);
            put(out + at, value * factor * w);
        });
    }
}

extern "C" {

// x += scale * after(added), then out = before(x). `after` may be none, `added` null: then only the norm.
void add_and_norm(number *x, number *added, number *out, const Norm *after, const Norm *before, float scale, i64 rows,
                  i64 width) {
    for_each(rows, rows * width > WORTH_SHARING_ROWS, [&](i64 row) {
        number *stream = x + row * width;
        if (added) {
            number *more = added + row * width;
            if (after->weight) norm_row(more, more, *after, width);
            along(width, [&](i64 at, auto value) {
                decltype(value) m;
                get(stream + at, value), get(more + at, m);
                put(stream + at, value + (scale == 1.0f ? m : rounded(m * scale)));
            });
        }
        if (before->weight) norm_row(stream, out + row * width, *before, width);
    });
}

// gate_up [rows, 2 * width] -> out [rows, width]: activation 0 is silu, 1 gelu with tanh.
void activate(const number *gate_up, number *out, int32_t activation, i64 rows, i64 width) {
    for_each(rows, rows * width > WORTH_SHARING_ROWS, [&](i64 row) {
        const number *gate = gate_up + row * 2 * width, *up = gate + width;
        number *to = out + row * width;
        along(width, [&](i64 at, auto g) {
            decltype(g) u;
            get(gate + at, g), get(up + at, u);
            if (activation == 0) {
                put(to + at, rounded(g / (1.0f + exponential(-g))) * u);
            } else {
                const auto inner = 0.7978845608028654f * (g + 0.044715f * g * g * g);
                put(to + at, rounded(0.5f * g * (1.0f + hyperbolic_tangent(inner))) * u);
            }
        });
    });
}

static void turn_row(number *x, const Norm &norm, const Heads &layer, i64 heads, i64 position) {
    const i64 part = layer.rotated / 2;
    const number *cos = layer.cos + position * layer.rotated, *sin = layer.sin + position * layer.rotated;
    for (i64 head = 0; head < heads; head++, x += layer.dim) {
        if (norm.weight) norm_row(x, x, norm, layer.dim);
        if (!layer.cos) continue;
        along(part, [&](i64 i, auto first) {
            decltype(first) second, cos_1, cos_2, sin_1, sin_2;
            get(x + i, first), get(x + part + i, second);
            get(cos + i, cos_1), get(cos + part + i, cos_2), get(sin + i, sin_1), get(sin + part + i, sin_2);
            put(x + i, rounded(first * cos_1) + rounded(second * sin_1));
            put(x + part + i, rounded(second * cos_2) + rounded(first * sin_2));
        });
    }
}

static inline number *state(const Step &step, i64 chunk, i64 slab, i64 head, i64 dim) {
    return step.slab[chunk * step.slabs + slab] + head * step.capacity[chunk] * dim;
}

// qkv [rows, heads + 2 * kv_heads, dim]: norms and rotates queries and keys in place; keys and values go to their place.
void turn_and_keep(number *qkv, const Heads *layer_, const Step *step_) {
    const Heads &layer = *layer_;
    const Step &step = *step_;
    const i64 width = (layer.heads + 2 * layer.kv_heads) * layer.dim;
    for (i64 chunk = 0; chunk < step.chunks; chunk++) {
        for_each(step.count[chunk], step.count[chunk] * width > WORTH_SHARING_ROWS, [&](i64 token) {
            const i64 row = step.row[chunk] + token, at = step.start[chunk] + token;
            number *query = qkv + row * width, *key = query + layer.heads * layer.dim;
            const number *value = key + layer.kv_heads * layer.dim;
            turn_row(query, layer.query_norm, layer, layer.heads, step.position[row]);
            turn_row(key, layer.key_norm, layer, layer.kv_heads, step.position[row]);
            for (i64 head = 0; head < layer.kv_heads; head++) {
                number *keys = state(step, chunk, layer.key_slab, layer.key_first + head, layer.dim);
                number *values = state(step, chunk, layer.value_slab, layer.value_first + head, layer.dim);
                std::memcpy(keys + at * layer.dim, key + head * layer.dim, layer.dim * sizeof(number));
                std::memcpy(values + at * layer.dim, value + head * layer.dim, layer.dim * sizeof(number));
            }
        });
    }
}

}  // extern "C"
