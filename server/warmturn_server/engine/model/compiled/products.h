// Products of rows with weights, however those are kept.

#pragma once
#include "amx.h"
#include "whole.h"

static const int FEW_ROWS = 16;  // for more it pays to make a tile's codes numbers first

// What has a scale: each output, or each group of inputs of it; and whether those, and their zeros, are floats.
enum class Scaled : int32_t { OUTPUTS, GROUPS, GROUPS_IN_FLOAT };

// weights: tiles of what `bits` says, nothing but zeros behind the last output. 0: `Numbers`, without scales. 4: `FourBits`,
// in groups. 8: `EightBits`. zeros, which only groups in four bits have, and bias may be null.
struct Product {
    const void *weights, *scales, *zeros;
    const float *bias;
    i64 inputs, outputs;
    int32_t bits;
    Scaled scaled;
};

// Sixteen units of sixteen outputs: as wide as a register.
struct alignas(64) Line {
    number units[16 * UNIT];
};

// A tile's codes as numbers; kept by this thread until its next ones.
template <class Codes>
static Numbers widened(const Codes &codes, i64 units) {
    static thread_local std::vector<Line> lines;
    lines.resize(units * 2);
    Line *to = lines.data();
    codes.each(units, [&](i64 unit, natural left, natural right) __attribute__((always_inline)) {
        std::memcpy((void *)&to[unit * 2], &left, 64), std::memcpy((void *)&to[unit * 2 + 1], &right, 64);
    });
    return {to->units};
}

static inline Numbers widened(const Numbers &weights, i64) { return weights; }

template <class Codes>
static inline InGroups<Numbers> widened(const InGroups<Codes> &weights, i64 units) {
    return {widened(weights.codes, units), weights.scales, weights.zeros};
}

// The same for codes that become bytes.
template <class Scale>
static WholeInGroups<Bytes, Scale> widened(const WholeInGroups<Halves, Scale> &weights, i64 units) {
    static thread_local std::vector<Line> lines;
    lines.resize(units * UNIT / 4 * 2);
    Line *to = lines.data();
    for (i64 group = 0; group < groups_in(units * UNIT); group++)
        weights.codes.group(group, [&](int, natural left, natural right) __attribute__((always_inline)) {
            std::memcpy((void *)to++, &left, 64), std::memcpy((void *)to++, &right, 64);
        });
    return {{(const uint8_t *)lines.data()}, weights.scales, weights.zeros};
}

static inline void put_some(number *to, lanes value, i64 count) {
    if (count >= 16) return stored(to, value);
    for (i64 i = 0; i < count; i++) to[i] = number(value[i]);
}

static inline lanes some_of(const float *from, i64 count) {
    lanes out = {};
    if (count > 0) std::memcpy(&out, from, (count < 16 ? count : 16) * sizeof(float));
    return out;
}

// Where the sums of one tile go, of which `left` outputs are there, and what is still done to them.
struct Ending {
    number *out;
    i64 outputs, left;
    lanes scale_1, scale_2, bias_1, bias_2;

    Ending(const Product &product, number *out, i64 first)
        : out(out + first), outputs(product.outputs), left(product.outputs - first) {
        const lanes none = {}, one = none + 1;
        const bool scaled = product.bits && product.scaled == Scaled::OUTPUTS;
        const number *scales = (const number *)product.scales + first;
        scale_1 = scaled ? loaded(scales) : one, scale_2 = scaled ? loaded(scales + 16) : one;
        bias_1 = product.bias ? some_of(product.bias + first, left) : none;
        bias_2 = product.bias ? some_of(product.bias + first + 16, left - 16) : none;
    }

    void operator()(i64 row, lanes sums_1, lanes sums_2) const {
        number *to = out + row * outputs;
        put_some(to, sums_1 * scale_1 + bias_1, left);
        if (left > 16) put_some(to + 16, sums_2 * scale_2 + bias_2, left - 16);
    }
};

template <class X, class Weights>
__attribute__((noinline)) static void multiply_tile(i64 rows, const X *x, i64 stride, const Weights &weights,
                                                    i64 units, const Ending &ending) {
    tile_of_all(rows, x, stride, weights, units, ending);
}

// x [rows, stride], `weights_of(tile)` -> out [rows, outputs].
template <class X, class F>
static void multiply_with(const Product &product, const X *x, i64 stride, number *out, i64 rows, F weights_of) {
    const i64 inputs = product.inputs, outputs = product.outputs, units = inputs / UNIT;
    for_each((outputs + TILE - 1) / TILE, rows * inputs * outputs > WORTH_SHARING, [&](i64 tile) {
        const Ending ending(product, out, tile * TILE);
        const auto weights = weights_of(tile);
        if (rows <= FEW_ROWS) multiply_tile(rows, x, stride, weights, units, ending);
        else multiply_tile(rows, x, stride, widened(weights, units), units, ending);
    });
}

template <class Codes>
static void multiply_in_groups(const Product &product, const number *x, number *out, i64 rows) {
    const i64 inputs = product.inputs, groups = groups_in(inputs);
    const uint8_t *codes = (const uint8_t *)product.weights;
    const float *scales = (const float *)product.scales, *zeros = (const float *)product.zeros;
    const number *summed = zeros ? with_sums(x, rows, inputs) : x;
    multiply_with(product, summed, zeros ? inputs + groups : inputs, out, rows, [&](i64 tile) {
        const i64 first = tile * TILE * groups;
        return InGroups<Codes>{{codes + tile * TILE * inputs * product.bits / 8}, scales + first, zeros ? zeros + first : zeros};
    });
}

template <class Scale>
static void multiply_four_bits(const Product &product, const number *x, number *out, i64 rows) {
    if constexpr (UNIT == 1) {
        multiply_in_groups<FourBits>(product, x, out, rows);
    } else {
        const i64 inputs = product.inputs, groups = groups_in(inputs);
        const uint8_t *codes = (const uint8_t *)product.weights;
        const Scale *scales = (const Scale *)product.scales, *zeros = (const Scale *)product.zeros;
        multiply_with(product, rounded_rows(x, rows, inputs), groups, out, rows, [&](i64 tile) {
            const i64 first = tile * TILE * groups;
            const Halves halves{codes + tile * TILE * inputs / 2};
            return WholeInGroups<Halves, Scale>{halves, scales + first, zeros ? zeros + first : zeros};
        });
    }
}

static void multiply_eight_bits(const Product &product, const number *x, number *out, i64 rows) {
    const i64 inputs = product.inputs;
    const uint8_t *codes = (const uint8_t *)product.weights;
    multiply_with(product, x, inputs, out, rows, [&](i64 tile) { return EightBits{codes + tile * TILE * inputs}; });
}

extern "C" {

// Whether products in numbers with so many inputs go by AMX, where that may be used.
int goes_by_amx(i64 inputs) {
#if defined(WITH_AMX)
    return UNIT == 2 && inputs % AMX_INPUTS == 0;
#else
    return 0;
#endif
}

}

// Many rows in turns, so that those of a turn stay near while all weights go by.
static void multiply_by_amx(const Product &product, const number *x, number *out, i64 rows) {
#if defined(WITH_AMX)
    const i64 inputs = product.inputs, outputs = product.outputs;
    const number *weights = (const number *)product.weights;
    together(rows * inputs * outputs > WORTH_SHARING, [&] {
        Tiles tiles;
        for (i64 turn = 0; turn < rows; turn += ROWS_IN_CACHE)
            own_part((outputs + TILE - 1) / TILE, [&](i64 tile) {
                const Ending ending(product, out, tile * TILE);
                const i64 end = turn + ROWS_IN_CACHE < rows ? turn + ROWS_IN_CACHE : rows;
                for (i64 first = turn; first < end; first += AMX_ROWS) {
                    const i64 count = first + AMX_ROWS < end ? AMX_ROWS : end - first;
                    tiles.shape_for(count);
                    amx_tile_of(count, x + first * inputs, inputs, weights + tile * TILE * inputs, inputs / UNIT,
                                [&](i64 row, lanes left, lanes right) { ending(first + row, left, right); });
                }
            });
    });
#endif
}

static void multiply_numbers(const Product &product, const number *x, number *out, i64 rows) {
    if (goes_by_amx(product.inputs)) return multiply_by_amx(product, x, out, rows);
    const i64 inputs = product.inputs;
    const number *weights = (const number *)product.weights;
    multiply_with(product, x, inputs, out, rows, [&](i64 tile) { return Numbers{weights + tile * TILE * inputs}; });
}

extern "C" {

// Whether weights are to be laid out like this at all. Of floats not where there is AMX: nobody has measured that there.
int packs() {
#if defined(WITH_AMX)
    return UNIT == 2 && amx_is_allowed();
#elif defined(__AVX512BF16__)
    return 1;
#else
    return 0;
#endif
}

// x [rows, inputs] -> out [rows, outputs].
void multiply(const Product *product, const number *x, number *out, i64 rows) {
    const bool in_float = product->scaled == Scaled::GROUPS_IN_FLOAT;
    if (product->bits == 4 && in_float) multiply_four_bits<float>(*product, x, out, rows);
    else if (product->bits == 4) multiply_four_bits<number>(*product, x, out, rows);
    else if (product->bits == 8 && in_float) multiply_in_groups<EightBits>(*product, x, out, rows);
    else if (product->bits == 8) multiply_eight_bits(*product, x, out, rows);
    else multiply_numbers(*product, x, out, rows);
}

}
