// Calls the kernels with every shape that has an edge, on memory that ends where they may not go on. Compiled with an
// address sanitizer; prints "fine", or what came out wrong: of equal values any attention makes that value.

#include "kernels.cpp"

#include <cstdio>

static bool attends(i64 heads, i64 kv_heads, i64 dim, i64 start, i64 count, i64 window) {
    const i64 capacity = start + count, width = (heads + 2 * kv_heads) * dim, rows_of_block = MAX_QUERIES / (heads / kv_heads);
    std::vector<number> slab(2 * kv_heads * capacity * dim, number(0.5f)), qkv(count * width, number(0.25f));
    std::vector<number> out(count * heads * dim);
    Heads layer{};
    layer.heads = heads, layer.kv_heads = kv_heads, layer.dim = dim, layer.window = window;
    layer.value_first = kv_heads, layer.scale = 0.125f;
    std::vector<i64> position(count), blocks;
    for (i64 first = 0; first < count; first += rows_of_block)
        for (i64 number_ : {(i64)0, first, count - first < rows_of_block ? count - first : rows_of_block}) blocks.push_back(number_);
    const i64 row = 0;
    number *at = slab.data();
    const Step step{1, count, 1, &row, &start, &count, &capacity, &at, position.data(), (i64)blocks.size() / 3, blocks.data()};
    look(qkv.data(), out.data(), &layer, &step);
    for (const number &value : out)
        if ((float)value != 0.5f) return false;
    return true;
}

static bool multiplies(i64 inputs, i64 outputs, i64 rows) {
    const i64 tiles = (outputs + TILE - 1) / TILE;
    std::vector<number> weights(tiles * TILE * inputs, number(0.5f)), x(rows * inputs, number(0.25f)), out(rows * outputs);
    std::vector<float> bias(outputs, 1.0f);
    const Product product{weights.data(), nullptr, nullptr, bias.data(), inputs, outputs, 0, Scaled::OUTPUTS};
    multiply(&product, x.data(), out.data(), rows);
    for (const number &value : out)
        if ((float)value != 1.0f + inputs / 8.0f) return false;
    return true;
}

// Codes of 1 in steps of a half; in four bits around -1.5 instead of 0, so that all of them mean -1.
template <class Scale>
static bool multiplies_bits(int32_t bits, Scaled scaled, i64 inputs, i64 outputs, i64 rows) {
    const i64 room = (outputs + TILE - 1) / TILE * TILE;
    const bool four = bits == 4;
    std::vector<uint8_t> codes(room * inputs * bits / 8, four ? 0x99 : 0x01);
    std::vector<Scale> scales(scaled == Scaled::OUTPUTS ? room : room * groups_in(inputs), Scale(0.5f));
    std::vector<Scale> zeros(four ? room * groups_in(inputs) : 0, Scale(-1.5f));
    std::vector<number> x(rows * inputs, number(0.25f)), out(rows * outputs);
    const void *there = four ? zeros.data() : nullptr;
    const Product product{codes.data(), scales.data(), there, nullptr, inputs, outputs, bits, scaled};
    multiply(&product, x.data(), out.data(), rows);
    for (const number &value : out)
        if ((float)value != (four ? -1.0f : 0.5f) * inputs / 4) return false;
    return true;
}

static bool multiplies_few_bits(i64 inputs, i64 outputs, i64 rows) {
    return multiplies_bits<number>(4, Scaled::GROUPS, inputs, outputs, rows) &&
           multiplies_bits<float>(4, Scaled::GROUPS_IN_FLOAT, inputs, outputs, rows) &&
           multiplies_bits<number>(8, Scaled::OUTPUTS, inputs - 16, outputs, rows) &&
           multiplies_bits<float>(8, Scaled::GROUPS_IN_FLOAT, inputs, outputs, rows);
}

int main() {
    for (i64 dim : {16, 64, 80})
        for (i64 group : {1, 3, 16})
            for (i64 window : {0, 100})
                for (i64 start : {0, 239, 240, 700})
                    for (i64 count : {1, 5, 50})
                        if (!attends(2 * group, 2, dim, start, count, window)) {
                            std::printf("attention: dim %ld, group %ld, window %ld, %ld after %ld\n", dim, group, window, count, start);
                            return 1;
                        }
    for (i64 outputs : {1, 31, 32, 33, 100})
        for (i64 rows : {1, 11, 12, 13, 40, 300})
            if (!multiplies(96, outputs, rows)) {
                std::printf("product: %ld outputs, %ld rows\n", outputs, rows);
                return 1;
            }
    for (i64 outputs : {1, 31, 32, 33, 100})
        for (i64 rows : {1, 6, 7, 8, 9, 16, 17, 40})
            for (i64 inputs : {32, 64, 96})
                if (!multiplies_few_bits(inputs, outputs, rows)) {
                    std::printf("few bits: %ld inputs, %ld outputs, %ld rows\n", inputs, outputs, rows);
                    return 1;
                }
#if defined(WITH_AMX)
    together(true, [] {
        if (emulated::own.configured) std::puts("tiles were not released");
    });
    if (try_amx() != RIGHT) std::puts("AMX fails its trial");
#endif
    std::puts("fine");
}
