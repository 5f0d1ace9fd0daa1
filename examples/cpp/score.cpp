// Scores frames with a model file of andon-trainer: score MODEL.onnx FRAME.pgm ...
//
// Needs onnxruntime 1.24 or newer, C API, and nothing else.

#include <onnxruntime_c_api.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

struct Frame {
  int width = 0, height = 0, channels = 0;
  std::vector<uint8_t> pixels;  // row by row, channels of a pixel next to each other, red first
  uint8_t at(int x, int y, int c) const { return pixels[(size_t(y) * width + x) * channels + c]; }
};

Frame read_frame(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string kind;
  Frame frame;
  int highest = 0;
  file >> kind >> frame.width >> frame.height >> highest;
  file.get();
  if (!file || (kind != "P5" && kind != "P6") || highest != 255 || frame.width < 1 || frame.height < 1 ||
      frame.width > 65535 || frame.height > 65535)
    throw std::runtime_error(path + ": no binary PGM or PPM of 8 bits");
  frame.channels = kind == "P5" ? 1 : 3;
  frame.pixels.resize(size_t(frame.width) * frame.height * frame.channels);
  if (!file.read(reinterpret_cast<char*>(frame.pixels.data()), std::streamsize(frame.pixels.size())))
    throw std::runtime_error(path + ": ends early");
  return frame;
}

Frame crop(const Frame& from, int left, int top, int width, int height) {
  if (left + width > from.width || top + height > from.height) throw std::runtime_error("frame smaller than the region");
  Frame to{width, height, from.channels, {}};
  for (int y = top; y < top + height; ++y) {
    auto start = from.pixels.begin() + (size_t(y) * from.width + left) * from.channels;
    to.pixels.insert(to.pixels.end(), start, start + size_t(width) * from.channels);
  }
  return to;
}

// Which pixels of a side make up pixel `to`, and with which weight.
std::vector<std::pair<int, double>> weights(int to, double scale, int length) {
  double start = to * scale, end = std::min(start + scale, double(length));
  std::vector<std::pair<int, double>> found;
  for (int i = int(start); i < length && i < end; ++i) {
    double share = std::min(end, i + 1.0) - std::max(start, double(i));
    if (share > 1e-3) found.push_back({i, share / (end - start)});
  }
  return found;
}

// The mean of the area that each pixel covers, as cv::resize with INTER_AREA.
Frame shrink(const Frame& from, int width, int height) {
  if (from.width < width || from.height < height) throw std::runtime_error("frame smaller than the model's input");
  Frame to{width, height, from.channels, {}};
  bool halved = from.width == 2 * width && from.height == 2 * height;
  for (int y = 0; y < height; ++y) {
    auto rows = weights(y, double(from.height) / height, from.height);
    for (int x = 0; x < width; ++x) {
      auto columns = weights(x, double(from.width) / width, from.width);
      for (int c = 0; c < from.channels; ++c) {
        double sum = 0;
        for (auto [row, row_weight] : rows) {
          double line = 0;
          for (auto [column, weight] : columns) line += weight * from.at(column, row, c);
          sum += row_weight * line;
        }
        // Halves are rounded to the even number, but up where two by two pixels become one.
        to.pixels.push_back(uint8_t(halved ? std::floor(sum + 0.5) : std::nearbyint(float(sum))));
      }
    }
  }
  return to;
}

const OrtApi* api = OrtGetApiBase()->GetApi(ORT_API_VERSION);

void check(OrtStatus* status) {
  if (status == nullptr) return;
  std::string message = api->GetErrorMessage(status);
  api->ReleaseStatus(status);
  throw std::runtime_error(message);
}

// A number of the card, or a list of them. It is JSON: a real program parses it with its library for JSON.
std::vector<double> numbers(const std::string& card, const std::string& name) {
  size_t at = card.find('"' + name + '"');
  std::vector<double> values;
  if (at == std::string::npos) return values;
  const char* text = card.c_str() + at + name.size() + 2;
  while (*text == ':' || *text == ' ' || *text == '[') ++text;
  for (char* end = nullptr;; text = end) {
    while (*text == ',' || *text == ' ') ++text;
    double value = std::strtod(text, &end);
    if (end == text) return values;
    values.push_back(value);
    if (*end != ',' && *end != ' ') return values;
  }
}

int run(int count, char** arguments) {
  if (count < 3) throw std::runtime_error("right is: score MODEL.onnx FRAME.pgm ...");
  if (api == nullptr) throw std::runtime_error("this onnxruntime is older than its header");
  OrtEnv* environment = nullptr;
  OrtSessionOptions* options = nullptr;
  OrtSession* session = nullptr;
  check(api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "score", &environment));
  check(api->DisableTelemetryEvents(environment));
  check(api->CreateSessionOptions(&options));
  check(api->CreateSession(environment, arguments[1], options, &session));

  OrtAllocator* allocator = nullptr;
  OrtModelMetadata* metadata = nullptr;
  char* text = nullptr;
  check(api->GetAllocatorWithDefaultOptions(&allocator));
  check(api->SessionGetModelMetadata(session, &metadata));
  check(api->ModelMetadataLookupCustomMetadataMap(metadata, allocator, "andon.card", &text));
  if (text == nullptr) throw std::runtime_error("no model card: not a model file of andon-trainer");
  std::string card = text;

  OrtTypeInfo* type = nullptr;
  const OrtTensorTypeAndShapeInfo* tensor = nullptr;
  std::array<int64_t, 4> shape{};
  check(api->SessionGetInputTypeInfo(session, 0, &type));
  check(api->CastTypeInfoToTensorInfo(type, &tensor));
  check(api->GetDimensions(tensor, shape.data(), shape.size()));
  shape[0] = 1;

  double threshold = numbers(card, "threshold").at(0);
  auto size = numbers(card, "frame_size"), region = numbers(card, "region");
  OrtMemoryInfo* memory = nullptr;
  check(api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  for (int i = 2; i < count; ++i) {
    Frame frame = read_frame(arguments[i]);
    if (frame.channels != shape[3]) throw std::runtime_error(std::string(arguments[i]) + ": other channels than the model");
    if (size.size() == 2 && (frame.width != size[0] || frame.height != size[1]))
      throw std::runtime_error(std::string(arguments[i]) + ": another size than the images that the model learned from");
    if (region.size() == 4) frame = crop(frame, int(region[0]), int(region[1]), int(region[2]), int(region[3]));
    Frame input = shrink(frame, int(shape[2]), int(shape[1]));
    OrtValue *value = nullptr, *output = nullptr;
    check(api->CreateTensorWithDataAsOrtValue(memory, input.pixels.data(), input.pixels.size(), shape.data(), 4,
                                              ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, &value));
    const char *inputs[] = {"frames"}, *outputs[] = {"score"};
    check(api->Run(session, nullptr, inputs, &value, 1, outputs, 1, &output));
    float* score = nullptr;
    check(api->GetTensorMutableData(output, reinterpret_cast<void**>(&score)));
    std::printf("%s %.9g %.9g %s\n", arguments[i], *score, threshold, *score > threshold ? "defect" : "good");
    api->ReleaseValue(output);
    api->ReleaseValue(value);
  }
  api->ReleaseMemoryInfo(memory);
  api->ReleaseTypeInfo(type);
  check(api->AllocatorFree(allocator, text));
  api->ReleaseModelMetadata(metadata);
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
  api->ReleaseEnv(environment);
  return 0;
}

int main(int count, char** arguments) {
  try {
    return run(count, arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  }
}
