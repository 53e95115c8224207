// Sixteen rows of sixteen units as columns.

#pragma once
#include <utility>

#include "tiles.h"

// Of each two rows WIDTH apart: swaps the upper one's odd blocks of WIDTH units with the lower one's even ones.
template <int WIDTH, int... PLACE>
static inline void swap_blocks(natural *rows, std::integer_sequence<int, PLACE...>) {
    for (int i = 0; i < 16; i++) {
        if (i & WIDTH) continue;
        const natural a = rows[i], b = rows[i + WIDTH];
        rows[i] = SHUFFLED(a, b, (PLACE & WIDTH ? 16 + PLACE - WIDTH : PLACE)...);
        rows[i + WIDTH] = SHUFFLED(a, b, (PLACE & WIDTH ? 16 + PLACE : PLACE + WIDTH)...);
    }
}

// Rows `stride` units apart -> columns, TILE units apart.
static inline void turn_16(const number *from, i64 stride, number *to) {
    const std::make_integer_sequence<int, 16> places;
    natural rows[16];
    for (int i = 0; i < 16; i++) rows[i] = units_at(from + i * stride * UNIT);
    swap_blocks<8>(rows, places), swap_blocks<4>(rows, places), swap_blocks<2>(rows, places), swap_blocks<1>(rows, places);
    for (int i = 0; i < 16; i++) std::memcpy(to + i * TILE * UNIT, &rows[i], 64);
}
