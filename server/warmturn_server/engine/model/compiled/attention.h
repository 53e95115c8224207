// Attention of some rows of a sequence, with all heads of a group, over spans of its keys. A span's keys and values are
// laid out as a product's weights are: one product makes scores of them, another the weighted values. Spans begin at
// multiples of SPAN and are put together in their order, so that a row's result does not depend on the rows beside it:
// what it does not see has the weight 0.

#pragma once
#include <vector>

#include "rows.h"
#include "turned.h"

static const int SPAN = 256;
static const int MAX_QUERIES = 48, MAX_DIM = 256;
static const float NOTHING = -1;  // in place of a sum of weights, where a row sees no key of a span

// Where one thread works on one span.
struct Desk {
    alignas(64) number queries[MAX_QUERIES * MAX_DIM], keys[SPAN * MAX_DIM], values[SPAN * MAX_DIM];
    alignas(64) float scores[MAX_QUERIES * SPAN];
    alignas(64) number weights[MAX_QUERIES * SPAN];
};

static Desk &own_desk() {
    static thread_local std::vector<Desk> desk(1);
    return desk[0];
}

// `rows` rows of a sequence of which `stop` tokens are there after the first of them, and one head of keys and values.
struct Seat {
    const Heads &layer;
    const number *query;  // of the first row, [rows, width]
    i64 width, rows, stop;
    const number *keys, *values;
};

// keys [count, dim] -> [SPAN / TILE, dim / UNIT, TILE, UNIT].
static void lay_out_keys(const number *keys, i64 count, i64 dim, number *to) {
    const i64 units = dim / UNIT;
    for (i64 key = 0; key < count; key += 16) {
        number *tile = to + (key / TILE * units * TILE + key % TILE) * UNIT;
        const number *from = keys + key * dim;
        i64 unit = 0;
        if (key + 16 <= count)
            for (; unit + 16 <= units; unit += 16) turn_16(from + unit * UNIT, units, tile + unit * TILE * UNIT);
        for (; unit < units; unit++)
            for (i64 i = 0; i < 16; i++) {
                number *one = tile + (unit * TILE + i) * UNIT;
                if (key + i < count) std::memcpy(one, from + i * dim + unit * UNIT, 4);
                else std::memset(one, 0, 4);
            }
    }
}

static inline void side_by_side(const float *one, const float *, number *to) { std::memcpy(to, one, 64); }
static inline void side_by_side(const bf16 *one, const bf16 *other, number *to) {
    half a, b = {};
    std::memcpy(&a, one, 32);
    if (other) std::memcpy(&b, other, 32);
    const natural both = __builtin_convertvector(a, natural) | __builtin_convertvector(b, natural) << 16;
    std::memcpy(to, &both, 64);
}

// values [count, dim] -> [tiles of dim, SPAN / UNIT, TILE, UNIT], zeros behind the last of either.
static void lay_out_values(const number *values, i64 count, i64 dim, number *to) {
    for (i64 first = 0; first < dim; first += 16) {
        number *column = to + (first / TILE * SPAN * TILE + first % TILE * UNIT);
        for (i64 key = 0; key < count; key += UNIT) {
            const number *from = values + key * dim + first;
            const bool paired = key + UNIT <= count;
            number *unit = column + key * TILE;
            if (first + 16 <= dim) side_by_side(from, paired ? from + (UNIT - 1) * dim : nullptr, unit);
            else
                for (i64 i = 0; i < 16 * UNIT; i++) {
                    const i64 d = first + i / UNIT, other = i % UNIT;
                    unit[i] = d < dim && key + other < count ? from[i / UNIT + other * dim] : number(0.0f);
                }
        }
    }
}

static void see_nothing(float *partial) { partial[0] = -INFINITY, partial[1] = NOTHING; }

// Scores in their place -> weights; largest score and sum of weights go to `partial`.
static void weigh(float *scores, number *weights, i64 low, i64 high, i64 count, const Heads &layer, float *partial) {
    std::memset((void *)weights, 0, (count + UNIT - 1) / UNIT * UNIT * sizeof(number));
    if (low >= high) return see_nothing(partial);
    const whole places = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const i64 begin = low / 16 * 16;
    lanes largest = lanes{} - INFINITY;
    for (i64 i = begin; i < high; i += 16) {
        lanes value = loaded(scores + i) * layer.scale;
        if (layer.cap > 0) value = hyperbolic_tangent(value / layer.cap) * layer.cap;
        const whole at = places + (int32_t)i;
        value = (at >= (int32_t)low) & (at < (int32_t)high) ? value : lanes{} - INFINITY;
        largest = value > largest ? value : largest;
        stored(scores + i, value);
    }
    float top = -INFINITY;
    for (int i = 0; i < 16; i++) top = largest[i] > top ? largest[i] : top;
    lanes sums = {};
    for (i64 i = begin; i < high; i += 16) {
        const lanes value = loaded(scores + i);
        const whole at = places + (int32_t)i;
        const lanes weight = (at >= (int32_t)low) & (at < (int32_t)high) ? exponential(value - top) : lanes{};
        sums += weight;
        stored(weights + i, weight);
    }
    partial[0] = top, partial[1] = sum_of(sums);
}

// What the rows see of the span from `first` on: for each row and head largest score, sum of weights, weighted values.
static void look_at_span(const Seat &seat, i64 first, float *partial) {
    Desk &desk = own_desk();
    const Heads &layer = seat.layer;
    const i64 dim = layer.dim, group = layer.heads / layer.kv_heads, queries = seat.rows * group, stride = 2 + dim;
    const i64 end = seat.stop + seat.rows - 1, count = first + SPAN < end ? SPAN : end - first;
    if (layer.window && first + SPAN <= seat.stop - layer.window) {  // no row sees as far back as that
        for (i64 query = 0; query < queries; query++) see_nothing(partial + query * stride);
        return;
    }
    for (i64 row = 0; row < seat.rows; row++)
        std::memcpy((void *)(desk.queries + row * group * dim), seat.query + row * seat.width, group * dim * sizeof(number));
    lay_out_keys(seat.keys + first * dim, count, dim, desk.keys);
    lay_out_values(seat.values + first * dim, count, dim, desk.values);
    for (i64 tile = 0; tile < (count + TILE - 1) / TILE; tile++)
        tile_of_all(queries, desk.queries, dim, Numbers{desk.keys + tile * TILE * dim}, dim / UNIT,
                    [&](i64 query, lanes left, lanes right) {
                        stored(desk.scores + query * SPAN + tile * TILE, left);
                        stored(desk.scores + query * SPAN + tile * TILE + 16, right);
                    });
    for (i64 query = 0; query < queries; query++) {
        const i64 stop = seat.stop + query / group, low = layer.window ? stop - layer.window - first : 0;
        weigh(desk.scores + query * SPAN, desk.weights + query * SPAN, low > 0 ? low : 0,
              stop - first < count ? stop - first : count, count, layer, partial + query * stride);
    }
    for (i64 tile = 0; tile < (dim + TILE - 1) / TILE; tile++)
        tile_of_all(queries, desk.weights, SPAN, Numbers{desk.values + tile * SPAN * TILE}, (count + UNIT - 1) / UNIT,
                    [&](i64 query, lanes left, lanes right) {
                        float *to = partial + query * stride + 2 + tile * TILE;
                        const i64 wide = dim - tile * TILE;
                        std::memcpy(to, &left, (wide < 16 ? wide : 16) * sizeof(float));
                        if (wide > 16) std::memcpy(to + 16, &right, (wide < 32 ? wide - 16 : 16) * sizeof(float));
                    });
}

// partial [spans, of `next` floats]: one row's and head's, span after span -> out [dim].
static void put_together(const float *partial, i64 spans, i64 next, i64 dim, number *out) {
    float largest = -INFINITY, sum = 0, values[MAX_DIM] = {0};
    for (i64 i = 0; i < spans; i++)
        if (partial[i * next] > largest) largest = partial[i * next];
    for (i64 i = 0; i < spans; i++) {
        const float *one = partial + i * next;
        if (one[1] == NOTHING) continue;  // what is no number has a sum that is none, and is passed on
        const float factor = exponential(one[0] - largest);
        sum += factor * one[1];
        for (i64 d = 0; d < dim; d++) values[d] += factor * one[2 + d];
    }
    for (i64 d = 0; d < dim; d++) out[d] = number(values[d] / sum);
}
