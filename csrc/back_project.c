/* Step 8: from map pixels to image pixels.
 *
 * The network saw the picture letterboxed into a square of side S = max(w, h); the maps were resized to the image
 * without regard to that, and the way back undoes both at once.
 */
#include "steps.h"
#include "numbers.h"

typedef struct {
    double scale, offset;
} Line;

/* One axis: `map` pixels, the picture's extent `image`, the side of the square `side`. */
static Line reference_line(int map, int image, int side)
{
    /* int(w / 2): odd sizes come out half a pixel off, and so they do in the reference. */
    return (Line){(double)side / map, (double)(image / 2) - side / 2.0};
}

/* UDP counts distances between pixel centres, and its squares are aligned at the top left. */
static Line udp_line(int map, int side)
{
    return (Line){map > 1 ? (side - 1.0) / (map - 1.0) : 0.0, 0.0};
}

static Line mmpose1_line(int map, int image, int side, int input)
{
    return (Line){(double)input / map / input * side, image / 2.0 - side / 2.0};
}

/* Undoes the letterbox to the pixel: the picture was resized to `resized` pixels of the network's `input`, where it
 * begins at a whole pixel. */
static Line exact_line(int map, int image, double scale, int input)
{
    const double ideal = rint(image * scale), resized = ideal < 1.0 ? 1.0 : ideal;
    const double room = input - resized, start = floor(room / 2.0), pixel = image / resized;
    return (Line){(double)input / map * pixel, -start * pixel};
}

static Line line_of(int map, int image, int side, int input, const HaeSettings *settings)
{
    if (settings->mode == HAE_MMPOSE1)
        return mmpose1_line(map, image, side, input);
    if (settings->exact_geometry) {
        const double across = (double)settings->input_width / settings->image_width;
        const double down = (double)settings->input_height / settings->image_height;
        return exact_line(map, image, across < down ? across : down, input);
    }
    return settings->use_udp ? udp_line(map, side) : reference_line(map, image, side);
}

void hae_back_project(HaePersons *persons, int width, int height, const HaeSettings *settings)
{
    const int side = settings->image_width > settings->image_height ? settings->image_width : settings->image_height;
    const Line across = line_of(width, settings->image_width, side, settings->input_width, settings);
    const Line down = line_of(height, settings->image_height, side, settings->input_height, settings);
    const size_t count = (size_t)persons->count * persons->joints;
    float *row = persons->rows;
    for (size_t i = 0; i < count; i++, row += 3 + persons->length) {
        row[0] = hae_clamp_finite(row[0] * across.scale + across.offset);
        row[1] = hae_clamp_finite(row[1] * down.scale + down.offset);
    }
}
