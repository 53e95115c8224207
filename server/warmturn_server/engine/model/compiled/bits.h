// Weights in few bits. Their codes become numbers on the way into a product: in registers for few rows, once for many.
// A row of 64 bytes has the codes of sixteen outputs at some neighbouring inputs; a tile's two halves take turns.

#pragma once
#include "tiles.h"

static const int GROUP = 32;  // inputs that share a scale, and a zero, where not all of an output's do

typedef uint8_t bytes __attribute__((vector_size(64)));

static inline natural codes_at(const uint8_t *from) {
    natural out;
    std::memcpy(&out, from, 64);
    return out;
}

// Has the processor fetch the 128 bytes that come 2 KiB later: one row of x is multiplied faster than it would by itself.
static inline void fetch_ahead(const uint8_t *at) { __builtin_prefetch(at + 2048), __builtin_prefetch(at + 2112); }

// Codes 0 to 15 mean -8 to 7, as floats (`whole.h` has them otherwise). codes [inputs / 8, 2, 16 outputs, 8]: of eight inputs those at even places first.
struct FourBits {
    const uint8_t *codes;

    static natural float_of(natural codes, int i) {
        const lanes meant = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
        return (natural)looked_up(meant, (whole)(codes >> (i % 2 * 16 + i / 2 * 4) & 15));
    }

    template <class F>
    inline void each(i64 units, F f) const {
        const uint8_t *at = codes;
        for (i64 unit = 0; unit < units; at += 128) {
            fetch_ahead(at);
            const natural codes_1 = codes_at(at), codes_2 = codes_at(at + 64);
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++, unit++) f(unit, float_of(codes_1, i), float_of(codes_2, i));
        }
    }

    FourBits from(i64 input) const { return {codes + input * TILE / 2}; }
};

#if defined(__AVX512VBMI__)
// 0 to 127 as bfloat16: their lower bytes, their upper ones.
static const struct SevenBits {
    alignas(64) uint8_t lower[128], upper[128];
    SevenBits() {
        for (int i = 0; i < 128; i++) {
            const uint16_t bits = bf16((float)i).bits;
            lower[i] = bits & 255, upper[i] = bits >> 8;
        }
    }
} SEVEN_BITS;
#endif

// A sign, and seven bits of a number. As floats: codes [inputs / 4, 2, 16 outputs, 4]; as bfloat16, so that bytes come out
// beside each other: [inputs / 4, 2, 4, 2 pairs of inputs, 4 outputs, 2].
struct EightBits {
    static const int ROWS = ROWS_AT_ONCE < 8 ? ROWS_AT_ONCE : 8;
    const uint8_t *codes;

    static natural float_of(natural codes, int i) {
        const natural code = codes >> (8 * i);
        return (natural)__builtin_convertvector((whole)(code & 127), lanes) | (code & 128) << 24;
    }

    struct Pairs {
        natural first, second;
    };

#if defined(__AVX512VBMI__)
    static __m512i found(const uint8_t *table, natural codes) {
        return _mm512_permutex2var_epi8((__m512i)codes_at(table), (__m512i)codes, (__m512i)codes_at(table + 64));
    }

    static Pairs pairs_of(natural codes) {
        const __m512i lower = found(SEVEN_BITS.lower, codes), size = found(SEVEN_BITS.upper, codes);
        const __m512i upper = _mm512_or_si512(size, (__m512i)(codes & 0x80808080));
        return {(natural)_mm512_unpacklo_epi8(lower, upper), (natural)_mm512_unpackhi_epi8(lower, upper)};
    }
#else
    static Pairs pairs_of(natural codes) {
        const bytes code = (bytes)codes;
        bf16 numbers[64];
        Pairs pairs;
        for (int i = 0; i < 64; i++) {
            const float size = (float)(code[i] & 127);
            numbers[i / 8 % 2 * 32 + i / 16 * 8 + i % 8] = bf16(code[i] & 128 ? -size : size);
        }
        std::memcpy((void *)&pairs, numbers, 128);
        return pairs;
    }
#endif

    template <class F>
    inline void each(i64 units, F f) const {
        const uint8_t *at = codes;
        for (i64 unit = 0; unit < units; unit += 4 / UNIT, at += 128) {
            fetch_ahead(at);
            const natural codes_1 = codes_at(at), codes_2 = codes_at(at + 64);
            if constexpr (UNIT == 2) {
                const Pairs left = pairs_of(codes_1), right = pairs_of(codes_2);
                f(unit, left.first, right.first);
                f(unit + 1, left.second, right.second);
            } else {
#pragma GCC unroll 4
                for (int i = 0; i < 4; i++) f(unit + i, float_of(codes_1, i), float_of(codes_2, i));
            }
        }
    }

    EightBits from(i64 input) const { return {codes + input * TILE}; }
};
