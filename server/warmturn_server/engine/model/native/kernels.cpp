// What stands between the products of a Llama layer, each as one loop over memory: norms, rotation, activation, and
// the attention of all decoding sequences at once. Compiled on the machine that runs it, once for each number format
// (NUMBER is float, or bf16). Sums are in float; results are rounded where transformers rounds them.
//
// A row's result depends on that row alone, whatever else is computed with it and by however many threads.

#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

typedef int64_t i64;

struct bf16 {
    uint16_t bits;
    bf16() = default;
    bf16(float value) {
        uint32_t u;
        std::memcpy(&u, &value, 4);
        bits = value != value ? 0x7fc0 : (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
    }
    operator float() const {
        uint32_t u = (uint32_t)bits << 16;
        float value;
        std::memcpy(&value, &u, 4);
        return value;
    }
};

#ifndef NUMBER
#define NUMBER bf16
#endif
typedef NUMBER number;

static const int SPAN = 256;  // keys that one thread looks at in one go
static const int MAX_GROUP = 16, MAX_DIM = 256;
static const float NOTHING = -1;  // in place of a sum of weights, where a window hides all keys

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
    i64 spans;            // of all chunks that are looked at here
    const i64 *span;      // [spans, 3]: chunk, row within it, first key
    float *partial;       // [spans, heads, 2 + dim]
};

// Sixteen floats at once, in whatever registers there are.
typedef float lanes __attribute__((vector_size(64)));
typedef int32_t whole __attribute__((vector_size(64)));
typedef uint32_t natural __attribute__((vector_size(64)));
typedef uint16_t half __attribute__((vector_size(32)));

static inline lanes loaded(const float *from) {
    lanes out;
    std::memcpy(&out, from, 64);
    return out;
}

static inline lanes loaded(const bf16 *from) {
    half bits;
    std::memcpy(&bits, from, 32);
    return (lanes)(__builtin_convertvector(bits, natural) << 16);
}

static inline void stored(float *to, lanes value) { std::memcpy(to, &value, 64); }

static inline void stored(bf16 *to, lanes value) {
    const natural u = (natural)value;
    const natural near = (value != value) ? natural{} + 0x7fc0 : (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    const half bits = __builtin_convertvector(near, half);
    std::memcpy(to, &bits, 32);
}

static inline lanes rounded_as(const float *, lanes value) { return value; }
static inline lanes rounded_as(const bf16 *, lanes value) {
    const natural u = (natural)value;
    return (lanes)((value != value) ? natural{} + 0x7fc00000 : (u + 0x7fff + ((u >> 16) & 1)) & 0xffff0000);
}
static inline lanes rounded(lanes value) { return rounded_as((const number *)nullptr, value); }
static inline float rounded(float value) { return (float)number(value); }

// Loads and stores as wide as the loop's present step is.
static inline void get(const number *from, lanes &value) { value = loaded(from); }
static inline void get(const number *from, float &value) { value = *from; }
static inline void put(number *to, lanes value) { stored(to, value); }
static inline void put(number *to, float value) { *to = number(value); }

// f(i, V()) for sixteen numbers at a time, and for each of the last ones alone.
template <class F>
static inline void along(i64 width, F f) {
    i64 i = 0;
    for (; i + 16 <= width; i += 16) f(i, lanes());
    for (; i < width; i++) f(i, float());
}

static inline whole to_whole(lanes x) { return __builtin_convertvector(x, whole); }
static inline int32_t to_whole(float x) { return (int32_t)x; }
static inline lanes as_float(whole x) { return (lanes)x; }
static inline float as_float(int32_t x) {
    float out;
    std::memcpy(&out, &x, 4);
    return out;
}

// exp and tanh without the mathematical library's, which compilers do not always turn into vector instructions.
template <class V>
static inline V exponential(V x) {
    x = x < -87.0f ? V() - 87.0f : x;
    x = x > 88.0f ? V() + 88.0f : x;
    const V n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;  // rounds to a whole number
    const V r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    V p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return p * as_float((to_whole(n) + 127) << 23);
}

template <class V>
static inline V hyperbolic_tangent(V x) {
    return 1.0f - 2.0f / (exponential(2.0f * x) + 1.0f);
}

static inline float sum_of(lanes v) {
    float sum = 0;
    for (int i = 0; i < 16; i++) sum += v[i];
    return sum;
}

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
#pragma omp parallel for schedule(static) if (rows > 1)
    for (i64 row = 0; row < rows; row++) {
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
    }
}

// gate_up [rows, 2 * width] -> out [rows, width]: activation 0 is silu, 1 gelu with tanh.
void activate(const number *gate_up, number *out, int32_t activation, i64 rows, i64 width) {
#pragma omp parallel for schedule(static) if (rows > 1)
    for (i64 row = 0; row < rows; row++) {
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
    }
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
#pragma omp parallel for schedule(static) if (step.count[chunk] > 8)
        for (i64 token = 0; token < step.count[chunk]; token++) {
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
        }
    }
}

}  // extern "C"

// What of 32 products of two numbers each adds up to, sixteen sums of them.
#if defined(__AVX512BF16__)
static inline lanes products32(const bf16 *a, const bf16 *b, lanes sums) {
    return (lanes)_mm512_dpbf16_ps((__m512)sums, (__m512bh)_mm512_loadu_si512(a), (__m512bh)_mm512_loadu_si512(b));
}
#else
static inline lanes products32(const bf16 *a, const bf16 *b, lanes sums) {
    return sums + loaded(a) * loaded(b) + loaded(a + 16) * loaded(b + 16);
}
#endif
static inline lanes products32(const float *a, const float *b, lanes sums) {
    return sums + loaded(a) * loaded(b) + loaded(a + 16) * loaded(b + 16);
}

// Lane i of the result is the sum of all lanes of v[i].
static inline lanes sums_of(lanes *v) {
    const whole eights[2] = {{0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23},
                             {8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31}};
    const whole fours[2] = {{0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27},
                            {4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31}};
    const whole twos[2] = {{0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29},
                           {2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31}};
    const whole ones[2] = {{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30},
                           {1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31}};
    for (int i = 0; i < 8; i++) v[i] = __builtin_shuffle(v[2 * i], v[2 * i + 1], eights[0]) + __builtin_shuffle(v[2 * i], v[2 * i + 1], eights[1]);
    for (int i = 0; i < 4; i++) v[i] = __builtin_shuffle(v[2 * i], v[2 * i + 1], fours[0]) + __builtin_shuffle(v[2 * i], v[2 * i + 1], fours[1]);
    for (int i = 0; i < 2; i++) v[i] = __builtin_shuffle(v[2 * i], v[2 * i + 1], twos[0]) + __builtin_shuffle(v[2 * i], v[2 * i + 1], twos[1]);
    return __builtin_shuffle(v[0], v[1], ones[0]) + __builtin_shuffle(v[0], v[1], ones[1]);
}

static inline float dot(const number *query, const number *key, i64 dim) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (i64 i = 0; i < dim; i++) sum += (float)query[i] * (float)key[i];
    return sum;
}

// Scores of `keys` keys with one query. DIM is `dim` where that is known beforehand, else 0.
template <int DIM>
static void score(const number *query, const number *key, i64 keys, i64 dim, float *out) {
    i64 at = 0;
    if (DIM)
        for (; at + 16 <= keys; at += 16) {
            lanes sums[16];
            for (int i = 0; i < 16; i++) {
                lanes sum = {};
                for (int d = 0; d < DIM; d += 32) sum = products32(query + d, key + (at + i) * DIM + d, sum);
                sums[i] = sum;
            }
            const lanes scores = sums_of(sums);
            std::memcpy(out + at, &scores, 64);
        }
    for (; at < keys; at++) out[at] = dot(query, key + at * dim, dim);
}

// Values weighted by `group` sets of weights, tiles of 16 numbers: out[g * stride ...] of GROUP of them.
template <int GROUP, int TILES>
static void weigh(const float (*weights)[SPAN], const number *value, i64 keys, i64 dim, float *out, i64 stride) {
    lanes sums[GROUP][TILES] = {};
    for (i64 at = 0; at < keys; at++)
        for (int t = 0; t < TILES; t++) {
            const lanes tile = loaded(value + at * dim + t * 16);
            for (int g = 0; g < GROUP; g++) sums[g][t] += weights[g][at] * tile;
        }
    for (int g = 0; g < GROUP; g++)
        for (int t = 0; t < TILES; t++) std::memcpy(out + g * stride + t * 16, &sums[g][t], 64);
}

template <int TILES>
static void weigh_tiles(const float (*weights)[SPAN], const number *value, i64 keys, i64 dim, i64 group, float *out,
                        i64 stride) {
    i64 g = 0;
    for (; g + 3 <= group; g += 3) weigh<3, TILES>(weights + g, value, keys, dim, out + g * stride, stride);
    if (g + 2 == group) weigh<2, TILES>(weights + g, value, keys, dim, out + g * stride, stride);
    if (g + 1 == group) weigh<1, TILES>(weights + g, value, keys, dim, out + g * stride, stride);
}

// One row's queries of one head's group over the keys [first, stop): largest score, sum of weights, weighted values.
static void look_at_span(const Heads &layer, const number *query, i64 group, const number *keys, const number *values,
                         i64 first, i64 stop, float *partial) {
    const i64 dim = layer.dim, count = stop - first, stride = 2 + dim;
    float scores[MAX_GROUP][SPAN];
    keys += first * dim, values += first * dim;
    for (i64 g = 0; g < group; g++) {
        float largest = -INFINITY, sum = 0, *own = scores[g];
        const number *asks = query + g * dim;
        if (dim == 64) score<64>(asks, keys, count, dim, own);
        else if (dim == 128) score<128>(asks, keys, count, dim, own);
        else score<0>(asks, keys, count, dim, own);
        for (i64 i = 0; i < count; i++) {
            own[i] *= layer.scale;
            if (layer.cap > 0) own[i] = hyperbolic_tangent(own[i] / layer.cap) * layer.cap;
            largest = own[i] > largest ? own[i] : largest;
        }
        i64 i = 0;
        lanes sums = {};
        for (; i + 16 <= count; i += 16) {
            const lanes weights = exponential(loaded(own + i) - largest);
            sums += weights;
            stored(own + i, weights);
        }
        for (; i < count; i++) sum += own[i] = exponential(own[i] - largest);
        sum += sum_of(sums);
        partial[g * stride] = largest, partial[g * stride + 1] = sum;
    }
    float *out = partial + 2;
    i64 d = 0;
    for (; d + 64 <= dim; d += 64) weigh_tiles<4>(scores, values + d, count, dim, group, out + d, stride);
    for (; d + 16 <= dim; d += 16) weigh_tiles<1>(scores, values + d, count, dim, group, out + d, stride);
    for (; d < dim; d++)
        for (i64 g = 0; g < group; g++) {
            float sum = 0;
            for (i64 at = 0; at < count; at++) sum += scores[g][at] * (float)values[at * dim + d];
            out[g * stride + d] = sum;
        }
}

extern "C" {

// qkv as `turn_and_keep` left it -> out [rows, heads, dim] of the rows that have spans.
void look(const number *qkv, number *out, const Heads *layer_, const Step *step_) {
    const Heads &layer = *layer_;
    const Step &step = *step_;
    const i64 dim = layer.dim, group = layer.heads / layer.kv_heads, stride = 2 + dim;
    const i64 width = (layer.heads + 2 * layer.kv_heads) * dim;
#pragma omp parallel
    {
#pragma omp for schedule(dynamic) collapse(2)
        for (i64 item = 0; item < step.spans; item++)
            for (i64 head = 0; head < layer.kv_heads; head++) {
                const i64 chunk = step.span[item * 3], token = step.span[item * 3 + 1];
                const i64 end = step.start[chunk] + token + 1;
                i64 first = step.span[item * 3 + 2], stop = first + SPAN < end ? first + SPAN : end;
                float *partial = step.partial + (item * layer.heads + head * group) * stride;
                if (layer.window && first < end - layer.window) first = end - layer.window;
                if (first >= stop) {
                    for (i64 g = 0; g < group; g++) partial[g * stride] = -INFINITY, partial[g * stride + 1] = NOTHING;
                    continue;
                }
                const number *query = qkv + (step.row[chunk] + token) * width + head * group * dim;
                look_at_span(layer, query, group, state(step, chunk, layer.key_slab, layer.key_first + head, dim),
                             state(step, chunk, layer.value_slab, layer.value_first + head, dim), first, stop, partial);
            }
#pragma omp for schedule(static) collapse(2)
        for (i64 item = 0; item < step.spans; item++)
            for (i64 head = 0; head < layer.heads; head++) {
                if (step.span[item * 3 + 2]) continue;  // not the first of its row
                const i64 chunk = step.span[item * 3], token = step.span[item * 3 + 1];
                const i64 count = (step.start[chunk] + token) / SPAN + 1;
                const float *partial = step.partial + (item * layer.heads + head) * stride;
                const i64 next = layer.heads * stride;
                float largest = -INFINITY, sum = 0, values[MAX_DIM] = {0};
                for (i64 i = 0; i < count; i++)
                    if (partial[i * next] > largest) largest = partial[i * next];
                for (i64 i = 0; i < count; i++) {
                    const float *one = partial + i * next;
                    if (one[1] == NOTHING) continue;  // what is no number has a sum that is none, and is passed on
                    const float factor = exponential(one[0] - largest);
                    sum += factor * one[1];
#pragma omp simd
                    for (i64 d = 0; d < dim; d++) values[d] += factor * one[2 + d];
                }
                number *to = out + ((step.row[chunk] + token) * layer.heads + head) * dim;
                for (i64 d = 0; d < dim; d++) to[d] = number(values[d] / sum);
            }
    }
}

}
