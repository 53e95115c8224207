// A step of a Llama model, but for what comes before its first layer and after its last. Compiled on the machine that
// runs it, once for each number format (NUMBER is float, or bf16). Sums are in float; results are rounded where
// transformers rounds them.
//
// A row's result depends on that row alone, whatever else is computed with it and by however many threads.

#include <memory>

#include "attention.h"
#include "products.h"
#include "trial.h"

static Seat seat_of(const number *qkv, const Heads &layer, const Step &step, i64 block, i64 head) {
    const i64 dim = layer.dim, group = layer.heads / layer.kv_heads, width = (layer.heads + 2 * layer.kv_heads) * dim;
    const i64 *at = step.block + block * 3, chunk = at[0], row = at[1];
    const number *query = qkv + (step.row[chunk] + row) * width + head * group * dim;
    return {layer, query, width, at[2], step.start[chunk] + row + 1,
            state(step, chunk, layer.key_slab, layer.key_first + head, dim),
            state(step, chunk, layer.value_slab, layer.value_first + head, dim)};
}

static i64 spans_of(const Step &step, i64 block) {
    const i64 *at = step.block + block * 3;
    return (step.start[at[0]] + at[1] + at[2] - 1) / SPAN + 1;
}

// partial [spans, rows, group, 2 + dim] -> out.
static void put_block_together(const float *partial, number *out, const Heads &layer, const Step &step, i64 block,
                               i64 head) {
    const i64 dim = layer.dim, group = layer.heads / layer.kv_heads, stride = 2 + dim, *at = step.block + block * 3;
    const i64 queries = at[2] * group;
    for (i64 query = 0; query < queries; query++) {
        const i64 row = at[1] + query / group;
        number *to = out + ((step.row[at[0]] + row) * layer.heads + head * group + query % group) * dim;
        put_together(partial + query * stride, (step.start[at[0]] + row) / SPAN + 1, queries * stride, dim, to);
    }
}

extern "C" {

// qkv as `turn_and_keep` left it -> out [rows, heads, dim] of the rows that are in blocks. Where there are fewer blocks
// than threads can share evenly, they share the spans.
void look(const number *qkv, number *out, const Heads *layer_, const Step *step_) {
    const Heads &layer = *layer_;
    const Step &step = *step_;
    const i64 group = layer.heads / layer.kv_heads, stride = 2 + layer.dim;
    std::vector<i64> before(step.blocks + 1), place(step.blocks + 1), block_of;
    for (i64 block = 0; block < step.blocks; block++) {
        const i64 spans = spans_of(step, block);
        before[block + 1] = before[block] + spans;
        place[block + 1] = place[block] + spans * step.block[block * 3 + 2] * layer.heads * stride;
        block_of.resize(before[block + 1], block);
    }
    const bool shared = step.rows * layer.heads * before.back() * SPAN * layer.dim > WORTH_SHARING * step.blocks;
    std::atomic<i64> next{0};
    if (step.blocks * layer.kv_heads >= 4 * omp_get_max_threads()) {
        together(shared, [&] {
            std::vector<float> partial;
            in_turn(next, step.blocks * layer.kv_heads, [&](i64 item) {
                const i64 block = item / layer.kv_heads, head = item % layer.kv_heads;
                const i64 spans = spans_of(step, block), size = step.block[block * 3 + 2] * group * stride;
                partial.resize(spans * size);
                const Seat seat = seat_of(qkv, layer, step, block, head);
                for (i64 span = 0; span < spans; span++) look_at_span(seat, span * SPAN, &partial[span * size]);
                put_block_together(partial.data(), out, layer, step, block, head);
            });
        });
        return;
    }
    const std::unique_ptr<float[]> partial(new float[place.back()]);
    const auto own = [&](i64 block, i64 head, i64 span) {
        const i64 size = step.block[block * 3 + 2] * group * stride;
        return &partial[place[block] + (head * spans_of(step, block) + span) * size];
    };
    together(shared, [&] {
        in_turn(next, (i64)block_of.size() * layer.kv_heads, [&](i64 item) {
            const i64 block = block_of[item / layer.kv_heads], head = item % layer.kv_heads;
            const i64 span = item / layer.kv_heads - before[block];
            look_at_span(seat_of(qkv, layer, step, block, head), span * SPAN, own(block, head, span));
        });
        GOMP_barrier();
        own_part(step.blocks * layer.kv_heads, [&](i64 item) {
            const i64 block = item / layer.kv_heads, head = item % layer.kv_heads;
            put_block_together(own(block, head, 0), out, layer, step, block, head);
        });
    });
}

// One layer, with all that is its own. Norms that it has not do nothing.
struct Layer {
    const Norm *norm, *out_norm, *mlp_norm, *mlp_out_norm;
    const Heads *heads;
    Product qkv, out, gate_up, down;
    int32_t activation;
};

// Where a step's intermediate results go: [rows, as wide as the widest layer wants it].
struct Room {
    number *normed, *qkv, *attended, *more, *gate_up, *activated, *added;
};

// x [rows, width] goes through all layers; what the last one adds to it is left in `room->added`.
void run(const Layer *layers, i64 count, number *x, i64 width, float scale, const Room *room_, const Step *step) {
    const Room &room = *room_;
    const i64 rows = step->rows;
    for (i64 number_ = 0; number_ < count; number_++) {
        const Layer &layer = layers[number_];
        const Norm none = {nullptr, 0, 0}, *before = number_ ? layers[number_ - 1].mlp_out_norm : &none;
        add_and_norm(x, number_ ? room.added : nullptr, room.normed, before, layer.norm, scale, rows, width);
        multiply(&layer.qkv, room.normed, room.qkv, rows);
        turn_and_keep(room.qkv, layer.heads, step);
        look(room.qkv, room.attended, layer.heads, step);
        multiply(&layer.out, room.attended, room.more, rows);
        add_and_norm(x, room.more, room.normed, layer.out_norm, layer.mlp_norm, scale, rows, width);
        multiply(&layer.gate_up, room.normed, room.gate_up, rows);
        activate(room.gate_up, room.activated, layer.activation, rows, layer.down.inputs);
        multiply(&layer.down, room.activated, room.added, rows);
    }
}

}
