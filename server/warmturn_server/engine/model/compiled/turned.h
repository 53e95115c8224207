// Sixteen rows of sixteen units as columns.

#pragma once
#include "tiles.h"

// Of each two rows WIDTH apart: swaps the upper one's odd blocks of WIDTH units with the lower one's even ones.
template <int WIDTH>
static inline void swap_blocks(natural *rows, const whole upper, const whole lower) {
    for (int i = 0; i < 16; i++) {
        if (i & WIDTH) continue;
        const natural a = rows[i], b = rows[i + WIDTH];
        rows[i] = __builtin_shuffle(a, b, upper), rows[i + WIDTH] = __builtin_shuffle(a, b, lower);
    }
}

// Rows `stride` units apart -> columns, TILE units apart.
static inline void turn_16(const number *from, i64 stride, number *to) {
    natural rows[16];
    for (int i = 0; i < 16; i++) rows[i] = units_at(from + i * stride * UNIT);
    swap_blocks<8>(rows, whole{0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23},
                   whole{8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31});
    swap_blocks<4>(rows, whole{0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27},
                   whole{4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31});
    swap_blocks<2>(rows, whole{0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29},
                   whole{2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31});
    swap_blocks<1>(rows, whole{0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30},
                   whole{1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31});
    for (int i = 0; i < 16; i++) std::memcpy(to + i * TILE * UNIT, &rows[i], 64);
}
