// Numbers as the model keeps them, and sixteen of them at once.

#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "parallel.h"
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

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

// Sixteen floats at once, in whatever registers there are.
typedef float lanes __attribute__((vector_size(64)));
typedef int32_t whole __attribute__((vector_size(64)));
typedef uint32_t natural __attribute__((vector_size(64)));
typedef uint16_t half __attribute__((vector_size(32)));

// At constant places; each compiler has its own name for that.
#if defined(__clang__)
#define SHUFFLED(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLED(a, b, ...) __builtin_shuffle(a, b, whole{__VA_ARGS__})
#endif

// What a table says at each place; of a place only four bits are looked at.
static inline lanes looked_up(lanes table, whole places) {
#if defined(__AVX512F__)
    return (lanes)_mm512_permutexvar_ps((__m512i)places, (__m512)table);
#else
    for (int i = 0; i < 16; i++) places[i] = ((natural)table)[places[i] & 15];
    return (lanes)places;
#endif
}

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
