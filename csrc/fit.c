/* Sub-pixel positions, beyond the reference: the vertex of a parabola through the log-heat of the network's own map.
 *
 * The cell that shows a joint is the highest of the 3 x 3 around the joint's place; its neighbours to both sides, one
 * axis at a time, say where between them the top lies (of a Gaussian exactly there, since its logarithm is a parabola).
 */
#include "flip.h"
#include "numbers.h"

static float cell_of(const HaeMaps *maps, int channel, int x, int y)
{
    const size_t at = ((size_t)channel * maps->height + y) * maps->width + x;
    return maps->is_half ? hae_half_to_float(((const uint16_t *)maps->data)[at]) : ((const float *)maps->data)[at];
}

typedef struct {
    const HaeOutputs *outputs;
    const HaeMaps *plain, *flipped; /* of the finest stage of the largest scale; flipped may be NULL */
} Cells;

static Cells finest_cells(const HaeOutputs *outputs)
{
    const int stage = outputs->stages - 1;
    return (Cells){outputs, &outputs->plain[stage], outputs->flipped ? &outputs->flipped[stage] : NULL};
}

/* The heat of a cell; outside the map its edge is repeated. */
static float heat_of(const Cells *cells, int joint, int x, int y)
{
    const int width = cells->plain->width, height = cells->plain->height;
    x = x < 0 ? 0 : x < width ? x : width - 1;
    y = y < 0 ? 0 : y < height ? y : height - 1;
    float heat = cell_of(cells->plain, joint, x, y);
    if (cells->flipped)
        heat = hae_flip_average(heat, cell_of(cells->flipped, hae_flip_heat_channel(cells->outputs, joint),
                                              hae_flip_column(x, width), y));
    return hae_finite_or_lowest(heat);
}

/* The vertex's distance from the middle one of three cells, at most half a cell; 0 where they have no top. */
static double vertex(float before, float middle, float after)
{
    if (!(before > 0.0f && after > 0.0f && middle >= before && middle >= after))
        return 0.0;
    const double left = log((double)before), centre = log((double)middle), right = log((double)after);
    const double bend = left - 2.0 * centre + right;
    return bend < 0.0 ? 0.5 * (left - right) / bend : 0.0;
}

static void fit_joint(const Cells *cells, int joint, double across, double down, float *row)
{
    const int x = hae_truncate((float)(row[0] / across)), y = hae_truncate((float)(row[1] / down));
    int best_x = x, best_y = y;
    float best = heat_of(cells, joint, x, y);
    for (int v = y > 0 ? y - 1 : 0; v <= y + 1 && v < cells->plain->height; v++)
        for (int u = x > 0 ? x - 1 : 0; u <= x + 1 && u < cells->plain->width; u++) {
            const float heat = heat_of(cells, joint, u, v);
            if (heat > best) {
                best = heat;
                best_x = u;
                best_y = v;
            }
        }
    const double step_x =
        vertex(heat_of(cells, joint, best_x - 1, best_y), best, heat_of(cells, joint, best_x + 1, best_y));
    const double step_y =
        vertex(heat_of(cells, joint, best_x, best_y - 1), best, heat_of(cells, joint, best_x, best_y + 1));
    row[0] = (float)((best_x + 0.5 + step_x) * across);
    row[1] = (float)((best_y + 0.5 + step_y) * down);
}

/* persons: on maps of width x height. */
void hae_fit_positions(const HaeOutputs *outputs, HaePersons *persons, int width, int height)
{
    const Cells cells = finest_cells(outputs);
    const double across = (double)width / cells.plain->width, down = (double)height / cells.plain->height;
    float *row = persons->rows;
    for (int person = 0; person < persons->count; person++)
        for (int joint = 0; joint < persons->joints; joint++, row += 3 + persons->length)
            if (row[2] > 0.0f)
                fit_joint(&cells, joint, across, down, row);
}
