// Whether products by AMX come out right here. To be asked in a process that may die of it.

#pragma once
#include "products.h"

enum Trial { NOTHING_TO_TRY = 0, RIGHT = 10, WRONG = 11, NOT_ALLOWED = 12 };

#if defined(WITH_AMX)
static std::vector<number> some_numbers(i64 count, bool exact) {
    static uint32_t seed = 1;
    std::vector<number> all(count);
    for (number &one : all) {
        seed = seed * 1664525 + 1013904223;
        const int32_t within = (int32_t)(seed >> 24) - 128;
        one = exact ? number(within / 16) : number(within * 0.013f);
    }
    return all;
}

// Of whole numbers any order of summation makes the same sums. Of others a row must come out alone as among many; sums
// are nothing but what rounding leaves of them, which another order would change.
static bool amx_is_right(bool exact) {
    const i64 inputs = 3 * AMX_INPUTS, outputs = 3 * TILE + 5, most = 2 * AMX_ROWS + 17;
    std::vector<number> weights = some_numbers(4 * TILE * inputs, exact), x = some_numbers(most * inputs, exact);
    if (!exact) {
        for (i64 i = 0; i < 4 * TILE * inputs; i++)
            if (i / TILE % inputs >= inputs / 2) weights[i] = weights[i - inputs / 2 * TILE];
        for (i64 i = 0; i < most * inputs; i++)
            if (i % inputs >= inputs / 2) x[i] = -(float)x[i - inputs / 2];
    }
    const Product product = {weights.data(), nullptr, nullptr, nullptr, inputs, outputs, 0};
    std::vector<number> whole(most * outputs);
    multiply(&product, x.data(), whole.data(), most);
    for (i64 row = 0; exact && row < most; row++)
        for (i64 output = 0; output < outputs; output++) {
            const number *own = &weights[output / TILE * TILE * inputs + output % TILE * UNIT];
            float sum = 0;
            for (i64 input = 0; input < inputs; input++)
                sum += x[row * inputs + input] * own[input / UNIT * TILE * UNIT + input % UNIT];
            if ((float)whole[row * outputs + output] != rounded(sum)) return false;
        }
    for (i64 count = 1; count <= most; count++) {
        std::vector<number> last(count * outputs);
        multiply(&product, &x[(most - count) * inputs], last.data(), count);
        if (std::memcmp(last.data(), &whole[(most - count) * outputs], last.size() * sizeof(number))) return false;
    }
    return true;
}
#endif

extern "C" {

int try_amx() {
#if defined(WITH_AMX)
    if (UNIT != 2) return NOTHING_TO_TRY;
    if (!amx_is_allowed()) return NOT_ALLOWED;
    return amx_is_right(true) && amx_is_right(false) ? RIGHT : WRONG;
#else
    return NOTHING_TO_TRY;
#endif
}

}
