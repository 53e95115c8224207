// Products in bfloat16 by instructions that multiply matrices (Intel's AMX): up to 16 rows of x with 32 inputs of 16
// outputs at once. Each time the even inputs are summed, the odd ones, and both added to what was there: in another order
// than `tile_of` sums. So a product goes one way for every number of rows. A row's sums do not depend on its neighbours.

#pragma once
#include "tiles.h"

#if !defined(WITH_AMX) && (defined(__AMX_BF16__) || defined(__AMXBF16__)) && defined(__linux__)
#define WITH_AMX
#include <sys/syscall.h>
#include <unistd.h>

// Whether the system lets this process use them; has to be asked once.
static inline bool amx_is_allowed() {
    const long ask_for_state = 0x1023, of_tiles = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, ask_for_state, of_tiles) == 0;
}
#endif

static const i64 AMX_INPUTS = 32, AMX_ROWS = 32;  // that one turn of the loop takes
static const i64 ROWS_IN_CACHE = 256;             // of x, while all weights go by

#if defined(WITH_AMX)

// What the processor is told of its eight tiles: 0 and 1 have the sums of up to 16 rows, for the first and the second
// sixteen outputs, 2 and 3 those of up to 16 more rows; 4 and 5 these rows of x; 6 and 7 weights.
struct alignas(64) TileShapes {
    uint8_t palette = 1, start = 0, nothing[14] = {};
    uint16_t bytes[16] = {};
    uint8_t rows[16] = {};

    TileShapes(i64 count) {
        const uint8_t first = count < 16 ? count : 16, more = count - first;
        const uint8_t each[8] = {first, first, more, more, first, more, 16, 16};
        for (int i = 0; i < 8; i++) rows[i] = each[i], bytes[i] = each[i] ? 64 : 0;
    }
};

// This thread's tiles; nobody finds them as they were left here.
class Tiles {
    i64 rows_ = 0;

  public:
    ~Tiles() {
        if (rows_) _tile_release();
    }

    void shape_for(i64 rows) {
        if (rows == rows_) return;
        const TileShapes shapes(rows);
        __asm__ volatile("" ::: "memory");  // GCC does not know that all of it is read
        _tile_loadconfig(&shapes);
        rows_ = rows;
    }
};

// f(row, first sixteen sums, second sixteen) for up to AMX_ROWS rows, for which the tiles have their shapes.
template <class F>
static void amx_tile_of(i64 rows, const number *x, i64 stride, const number *weights, i64 units, const F &f) {
    const i64 row_bytes = stride * sizeof(number), sum_bytes = TILE * sizeof(float), step = AMX_INPUTS / UNIT;
    alignas(64) float sums[AMX_ROWS * TILE];
    __asm__ volatile("" ::: "memory");  // nor that tiles are loaded from memory
    _tile_zero(0);
    _tile_zero(1);
    if (rows > 16) {
        _tile_zero(2);
        _tile_zero(3);
    }
    for (i64 unit = 0; unit < units; unit += step) {
        const number *own = weights + unit * TILE * UNIT;
        _tile_loadd(4, x + unit * UNIT, row_bytes);
        _tile_loadd(6, own, TILE * 4);
        _tile_loadd(7, own + 16 * UNIT, TILE * 4);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if (rows > 16) {
            _tile_loadd(5, x + 16 * stride + unit * UNIT, row_bytes);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, sums, sum_bytes);
    _tile_stored(1, sums + 16, sum_bytes);
    if (rows > 16) {
        _tile_stored(2, sums + 16 * TILE, sum_bytes);
        _tile_stored(3, sums + 16 * TILE + 16, sum_bytes);
    }
    __asm__ volatile("" ::: "memory");
    for (i64 row = 0; row < rows; row++) f(row, loaded(sums + row * TILE), loaded(sums + row * TILE + 16));
}

#endif
