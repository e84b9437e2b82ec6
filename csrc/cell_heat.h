/* Bounds of the heat in each cell of the tag grid, where it comes from several maps.
 *
 * Before rounding a pixel's heat is the mean over the maps of numbers between the nodes around the pixel, the sides
 * averaged, so the mean of the largest of these nodes bounds it for all pixels of a cell. With F the largest distance
 * of such a node from 0 and n the number of maps, the rounding of the pixel, of the averaged nodes and of the sums here
 * stays below (n + 16) 2^-23 F; four times that is added. Nothing is added where all nodes are 0: so is the heat then.
 *
 * A map that is far finer than the tag grid has more nodes around a block than are held here. Its cells then have the
 * block's bound alone.
 */
#ifndef HRNETAE_CELL_HEAT_H
#define HRNETAE_CELL_HEAT_H

#include "nodes.h"

typedef struct {
    const HaeField *field;
    HaeTouched *columns, *rows; /* [map] */
    int usable;
} HaeCellHeat;

/* The nodes of a map around a block, WIDE at most each way; farthest: of each row, from 0. */
typedef struct {
    float node[WIDE][WIDE], farthest[WIDE];
} HaeWideTile;

static inline void fill_cell_heat(HaeCellHeat *heat, const HaeGrid *base, int maps, int32_t *numbers)
{
    heat->usable = 1;
    for (int map = 0; map < maps; map++) {
        const HaeGrid *grid = &heat->field->grids[map];
        heat->columns[map] = touch_axis(&grid->columns, base->first_column, base->width, maps, 0.0f, numbers);
        numbers += touched_numbers(base->width);
        heat->rows[map] = touch_axis(&grid->rows, base->first_row, base->height, maps, 0.0f, numbers);
        numbers += touched_numbers(base->height);
        heat->usable &= heat->columns[map].count <= WIDE && heat->rows[map].count <= WIDE
                     && heat->columns[map].nodes.run <= LONGEST_PICKED;
    }
}

/* The largest nodes around the eight cells in row y of a block, from column `cell`. */
static inline Lanes largest_around(const HaeWideTile *tile, const HaeTouched *columns, const HaeRanges *rows, int cell,
                                   int y)
{
    const int lines = lines_of(columns->count);
    HaeLine line;
    for (int i = 0; i < lines; i++) {
        line.at[i] = lanes_load(tile->node[rows->first[y]] + i * LANES);
        for (int row = rows->first[y] + 1; row <= rows->last[y]; row++)
            line.at[i] = lanes_max(lanes_load(tile->node[row] + i * LANES), line.at[i]);
    }
    line.at[lines] = lanes_all(0.0f);
    return pick_largest(&line, lines, &columns->nodes, cell);
}

static inline void ask_for_cell_heat(const HaeCellHeat *heat, int joint, int across, int down)
{
    for (int map = 0; map < count_maps(heat->field); map++)
        ask_for_map_nodes(heat->field, map, joint, heat->columns[map].start[across], heat->rows[map].start[down],
                          lines_of(heat->columns[map].count), heat->rows[map].count);
}

/* Bounds of the heat of the cells of a block of the tag grid, row by row. */
static inline void bound_cell_heat(const HaeCellHeat *heat, int joint, int across, int down,
                                   float bounds[BLOCK * BLOCK])
{
    const int maps = count_maps(heat->field);
    float farthest[BLOCK] = {0.0f};
    HaeWideTile tile;
    memset(bounds, 0, BLOCK * BLOCK * sizeof(float));
    for (int map = 0; map < maps; map++) {
        const HaeTouched *columns = &heat->columns[map];
        const HaeRanges *rows = &heat->rows[map].nodes;
        load_map_nodes(heat->field, map, joint, columns->start[across], heat->rows[map].start[down],
                       lines_of(columns->count), heat->rows[map].count, tile.node[0], WIDE, tile.farthest);
        for (int row = 0; row < BLOCK; row++) {
            float *sum = bounds + row * BLOCK;
            const int y = down * BLOCK + row;
            for (int at = rows->first[y]; at <= rows->last[y]; at++)
                farthest[row] = tile.farthest[at] > farthest[row] ? tile.farthest[at] : farthest[row];
            lanes_store(sum, lanes_add(lanes_load(sum), largest_around(&tile, columns, rows, across * BLOCK, y)));
        }
    }
    for (int row = 0; row < BLOCK; row++) {
        float *sum = bounds + row * BLOCK;
        const float slack = farthest[row] > 0.0f ? farthest[row] * 0x1p-21f * (float)(maps + 16) + 0x1p-100f : 0.0f;
        lanes_store(sum, lanes_add(lanes_mul(lanes_load(sum), lanes_all(1.0f / (float)maps)), lanes_all(slack)));
    }
}

#endif
