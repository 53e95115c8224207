// Intel's AMX where there is none, as its manual describes the instructions: to be included before the kernels. Where a
// processor would refuse, the program ends as it would there. The environment's BROKEN_AMX is how it fails: 1 does not
// know the instructions, 2 sums wrongly, 3 is not allowed by the system.

#pragma once
#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define WITH_AMX

static inline int broken_amx() {
    const char *how = std::getenv("BROKEN_AMX");
    return how ? std::atoi(how) : 0;
}

static inline bool amx_is_allowed() { return broken_amx() != 3; }

namespace emulated {

struct Tile {
    int rows, bytes;
    uint8_t at[16][64];
};

static thread_local struct {
    bool configured;
    Tile tile[8];
} own;

static void refuse_unless(bool fine, const char *what) {
    if (fine) return;
    std::fprintf(stderr, "AMX: %s\n", what);
    __builtin_trap();
}

static Tile &tile(int number) {
    refuse_unless(own.configured && own.tile[number].rows > 0, "a tile without a shape");
    return own.tile[number];
}

static inline void load_config(const void *from) {
    refuse_unless(broken_amx() != 1, "unknown instruction");
    uint8_t raw[64];
    uint16_t bytes[16];
    std::memcpy(raw, from, 64), std::memcpy(bytes, raw + 16, 32);
    refuse_unless((uintptr_t)from % 64 == 0 && raw[0] == 1, "palette");
    for (int i = 1; i < 16; i++) refuse_unless(raw[i] == 0, "start row, or a reserved byte");
    std::memset((void *)&own, 0, sizeof own);
    own.configured = true;
    for (int i = 0; i < 16; i++) {
        const int rows = raw[48 + i];
        refuse_unless(rows <= (i < 8 ? 16 : 0) && bytes[i] <= (i < 8 ? 64 : 0) && !rows == !bytes[i], "shape of a tile");
        if (i < 8) own.tile[i].rows = rows, own.tile[i].bytes = bytes[i];
    }
}

static inline void release() { std::memset((void *)&own, 0, sizeof own); }

static inline void zero(int number) { std::memset(tile(number).at, 0, sizeof(Tile::at)); }

static inline void load(int number, const void *from, int64_t stride) {
    Tile &to = tile(number);
    zero(number);
    for (int row = 0; row < to.rows; row++) std::memcpy(to.at[row], (const char *)from + row * stride, to.bytes);
}

static inline void store(int number, void *to, int64_t stride) {
    const Tile &from = tile(number);
    for (int row = 0; row < from.rows; row++) std::memcpy((char *)to + row * stride, from.at[row], from.bytes);
}

static inline float flushed(float value) { return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0f, value) : value; }

static inline float number_at(const Tile &tile, int row, int place) {
    const uint32_t bits = (uint32_t)tile.at[row][place * 2 + 1] << 24 | (uint32_t)tile.at[row][place * 2] << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return flushed(value);
}

// Rounded to the nearest even after each product that is added, and after each sum of two.
static inline void add_products(int to, int left, int right) {
    Tile &c = tile(to);
    const Tile &a = tile(left), &b = tile(right);
    refuse_unless(to != left && to != right && left != right, "one tile twice");
    refuse_unless(c.rows == a.rows && c.bytes == b.bytes && a.bytes / 4 == b.rows, "shapes that do not match");
    const int added = broken_amx() == 2 ? 1 : 2;
    for (int m = 0; m < c.rows; m++)
        for (int n = 0; n < c.bytes / 4; n++) {
            float sums[2] = {0, 0}, before;
            for (int k = 0; k < a.bytes / 4; k++)
                for (int i = 0; i < added; i++)
                    sums[i] = flushed(std::fma(number_at(a, m, 2 * k + i), number_at(b, k, 2 * n + i), sums[i]));
            std::memcpy(&before, &c.at[m][n * 4], 4);
            const float after = flushed(flushed(before) + flushed(sums[0] + sums[1]));
            std::memcpy(&c.at[m][n * 4], &after, 4);
        }
}

}  // namespace emulated

#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _tile_loadconfig emulated::load_config
#define _tile_release emulated::release
#define _tile_zero emulated::zero
#define _tile_loadd emulated::load
#define _tile_stored emulated::store
#define _tile_dpbf16ps emulated::add_products
