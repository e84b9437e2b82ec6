// Network outputs in .npy files to people: one call of the C API, and what a program needs around it.
//
//     decode_golden WIDTH HEIGHT PEOPLE.bin OUTPUT.npy [FLIPPED.npy]
//
// WIDTH and HEIGHT are the image's. The people are printed, one joint a line, and written to PEOPLE.bin as the float32
// numbers of the answer: keypoints (P, K, 3), scores (P), tags (P, K, L).

#include <hrnetae.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

// ---------------------------------------------------------------- hrnetae.h for C++: freed when left, errors thrown

struct FreeDecoder {
    void operator()(hrnetae_decoder *decoder) const { hrnetae_decoder_free(decoder); }
};
using Decoder = std::unique_ptr<hrnetae_decoder, FreeDecoder>;

class People {
public:
    People() = default;
    ~People() { hrnetae_people_free(&people_); }
    People(const People &) = delete;
    People &operator=(const People &) = delete;
    hrnetae_people *operator->() { return &people_; }
    hrnetae_people *get() { return &people_; }

private:
    hrnetae_people people_ = {};
};

void check(const hrnetae_error &error)
{
    if (error.status != HRNETAE_OK)
        throw std::runtime_error(error.message);
}

Decoder make_decoder(const hrnetae_params &params)
{
    hrnetae_decoder *decoder = nullptr;
    hrnetae_error error = {};
    hrnetae_decoder_create(&params, nullptr, &decoder, &error);
    check(error);
    return Decoder(decoder);
}

// ---------------------------------------------------------------- .npy files

// An array of a file. The numbers lie behind a header whose length is a multiple of 64.
struct NpyMaps {
    NpyMaps() = default;
    NpyMaps(NpyMaps &&) = default; // a copy's maps would show the bytes of the first

    std::vector<char> bytes;
    hrnetae_maps maps = {};
};

std::string value_of(const std::string &header, const std::string &key, char end)
{
    const std::size_t at = header.find("'" + key + "':");
    if (at == std::string::npos)
        return std::string();
    const std::size_t begin = header.find_first_not_of(' ', at + key.size() + 3);
    return begin == std::string::npos ? std::string() : header.substr(begin, header.find(end, begin) - begin);
}

// (C, H, W) or (1, C, H, W).
bool read_shape(const std::string &shape, hrnetae_maps *maps)
{
    int sides[4];
    const int count = std::sscanf(shape.c_str(), "(%d, %d, %d, %d", &sides[0], &sides[1], &sides[2], &sides[3]);
    if (count < 3 || (count == 4 && sides[0] != 1))
        return false;
    const int *last = sides + count - 3;
    for (int i = 0; i < 3; i++)
        if (last[i] < 1 || last[i] > 32768)
            return false;
    maps->channels = last[0];
    maps->height = last[1];
    maps->width = last[2];
    return true;
}

NpyMaps read_npy(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    NpyMaps npy;
    npy.bytes.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    const std::vector<char> &bytes = npy.bytes;
    if (bytes.size() < 10 || std::string(bytes.data(), 8) != std::string("\x93NUMPY\x01\x00", 8))
        throw std::runtime_error(path + ": not read as an .npy file of version 1");
    const std::size_t length = static_cast<unsigned char>(bytes[8]) + 256u * static_cast<unsigned char>(bytes[9]);
    if (bytes.size() < 10 + length)
        throw std::runtime_error(path + ": ends within its header");
    const std::string header(bytes.data() + 10, length);
    const std::string type = value_of(header, "descr", ',');
    const bool half = type == "'<f2'";
    if ((!half && type != "'<f4'") || value_of(header, "fortran_order", ',') != "False")
        throw std::runtime_error(path + ": found " + header + ", expected float16 or float32 in C order");
    if (!read_shape(value_of(header, "shape", ')'), &npy.maps))
        throw std::runtime_error(path + ": found " + header + ", expected a shape (C, H, W)");
    npy.maps.type = half ? HRNETAE_FLOAT16 : HRNETAE_FLOAT32;
    npy.maps.data = bytes.data() + 10 + length;
    const std::size_t count = std::size_t(npy.maps.channels) * npy.maps.height * npy.maps.width;
    if (bytes.size() - 10 - length < count * (half ? 2 : 4))
        throw std::runtime_error(path + ": ends within its numbers");
    return npy;
}

// ---------------------------------------------------------------- people

void print(const hrnetae_people &people)
{
    for (int person = 0; person < people.count; person++) {
        std::printf("person %d, score %.4f\n", person, people.scores[person]);
        for (int joint = 0; joint < people.joints; joint++) {
            const float *at = people.keypoints + 3 * (person * people.joints + joint);
            if (at[2] != 0.0f)
                std::printf("  joint %2d at %7.2f %7.2f, value %.4f\n", joint, at[0], at[1], at[2]);
        }
    }
}

void write(const std::string &path, const hrnetae_people &people)
{
    std::ofstream file(path, std::ios::binary);
    const std::size_t rows = std::size_t(people.count) * people.joints;
    const auto put = [&file](const float *numbers, std::size_t count) {
        if (count)
            file.write(reinterpret_cast<const char *>(numbers), static_cast<std::streamsize>(count * sizeof(float)));
    };
    put(people.keypoints, 3 * rows);
    put(people.scores, std::size_t(people.count) * people.scores_per_person);
    put(people.tags, people.tag_length * rows);
    file.close();
    if (!file)
        throw std::runtime_error(path + ": not written");
}

void decode(int width, int height, const std::string &answer, const std::string &output, const std::string &flipped)
{
    const NpyMaps plain = read_npy(output);
    const NpyMaps mirrored = flipped.empty() ? NpyMaps() : read_npy(flipped);
    const Decoder decoder = make_decoder(hrnetae_params_default());
    People people;
    hrnetae_error error = {};
    hrnetae_decode(decoder.get(), &plain.maps, flipped.empty() ? nullptr : &mirrored.maps, width, height, people.get(),
                   &error);
    check(error);
    print(*people.get());
    write(answer, *people.get());
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 5 || argc > 6) {
        std::fprintf(stderr, "usage: %s WIDTH HEIGHT PEOPLE.bin OUTPUT.npy [FLIPPED.npy]\n", argv[0]);
        return 2;
    }
    try {
        decode(std::atoi(argv[1]), std::atoi(argv[2]), argv[3], argv[4], argc == 6 ? argv[5] : "");
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
