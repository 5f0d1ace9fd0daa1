// Scores frames with a model file of andon-trainer: dotnet run MODEL.onnx FRAME.pgm ...
using System.Globalization;
using System.Text.Json;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

if (args.Length < 2)
{
    Console.Error.WriteLine("error: right is: dotnet run MODEL.onnx FRAME.pgm ...");
    return 2;
}
try
{
    using var session = new InferenceSession(args[0]);
    if (!session.ModelMetadata.CustomMetadataMap.TryGetValue("andon.card", out var text))
        throw new InvalidDataException("no model card: not a model file of andon-trainer");
    using var card = JsonDocument.Parse(text);
    var input = card.RootElement.GetProperty("input");
    int[]? size = Numbers(input, "frame_size"), region = Numbers(input, "region");
    int width = input.GetProperty("width").GetInt32(), height = input.GetProperty("height").GetInt32();
    int channels = input.GetProperty("channels").GetInt32();
    double threshold = card.RootElement.GetProperty("calibration").GetProperty("threshold").GetDouble();
    foreach (var path in args.Skip(1))
    {
        var frame = Frame.Read(path);
        if (frame.Channels != channels)
            throw new InvalidDataException($"{path}: other channels than the model");
        if (size != null && (frame.Width != size[0] || frame.Height != size[1]))
            throw new InvalidDataException($"{path}: another size than the images that the model learned from");
        if (region != null)
            frame = frame.Crop(region[0], region[1], region[2], region[3]);
        var pixels = frame.Shrink(width, height).Pixels;
        var frames = new DenseTensor<byte>(pixels, new[] { 1, height, width, channels });
        using var results = session.Run(new[] { NamedOnnxValue.CreateFromTensor("frames", frames) }, new[] { "score" });
        float score = results.First().AsTensor<float>().First();
        string verdict = score > threshold ? "defect" : "good";
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{path} {score:G9} {threshold:G9} {verdict}"));
    }
    return 0;
}
catch (Exception error) when (error is IOException or InvalidDataException or OnnxRuntimeException or JsonException)
{
    Console.Error.WriteLine($"error: {error.Message}");
    return 2;
}

static int[]? Numbers(JsonElement input, string name) =>
    input.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Array
        ? value.EnumerateArray().Select(one => one.GetInt32()).ToArray()
        : null;

/// <summary>Pixels row by row, the channels of a pixel next to each other, red first.</summary>
record Frame(int Width, int Height, int Channels, byte[] Pixels)
{
    public static Frame Read(string path)
    {
        var bytes = File.ReadAllBytes(path);
        var head = System.Text.Encoding.Latin1.GetString(bytes, 0, Math.Min(64, bytes.Length));
        var found = System.Text.RegularExpressions.Regex.Match(head, @"^(P[56])\s+(\d+)\s+(\d+)\s+255\s");
        if (!found.Success)
            throw new InvalidDataException($"{path}: no binary PGM or PPM of 8 bits");
        int width = int.Parse(found.Groups[2].Value), height = int.Parse(found.Groups[3].Value);
        int channels = found.Groups[1].Value == "P5" ? 1 : 3;
        if (bytes.Length < found.Length + (long)width * height * channels)
            throw new InvalidDataException($"{path}: ends early");
        return new Frame(width, height, channels, bytes.AsSpan(found.Length, width * height * channels).ToArray());
    }

    public Frame Crop(int left, int top, int width, int height)
    {
        if (left + width > Width || top + height > Height)
            throw new InvalidDataException("frame smaller than the region");
        var cut = new byte[width * height * Channels];
        for (int y = 0; y < height; y++)
            Array.Copy(Pixels, ((top + y) * Width + left) * Channels, cut, y * width * Channels, width * Channels);
        return new Frame(width, height, Channels, cut);
    }

    /// <summary>The mean of the area that each pixel covers, as OpenCV's INTER_AREA.</summary>
    public Frame Shrink(int width, int height)
    {
        if (Width < width || Height < height)
            throw new InvalidDataException("frame smaller than the model's input");
        var result = new byte[width * height * Channels];
        // Halves are rounded to the even number, but up where two by two pixels become one.
        bool halved = Width == 2 * width && Height == 2 * height;
        for (int y = 0; y < height; y++)
        {
            var rows = Weights(y, (double)Height / height, Height);
            for (int x = 0; x < width; x++)
            {
                var columns = Weights(x, (double)Width / width, Width);
                for (int c = 0; c < Channels; c++)
                {
                    double sum = 0;
                    foreach (var (row, rowWeight) in rows)
                    {
                        double line = 0;
                        foreach (var (column, weight) in columns)
                            line += weight * Pixels[(row * Width + column) * Channels + c];
                        sum += rowWeight * line;
                    }
                    result[(y * width + x) * Channels + c] =
                        (byte)(halved ? Math.Floor(sum + 0.5) : MathF.Round((float)sum, MidpointRounding.ToEven));
                }
            }
        }
        return new Frame(width, height, Channels, result);
    }

    /// <summary>Which pixels of a side make up pixel `to`, and with which weight.</summary>
    private static List<(int Index, double Weight)> Weights(int to, double scale, int length)
    {
        double start = to * scale, end = Math.Min(start + scale, length);
        var found = new List<(int, double)>();
        for (int i = (int)start; i < length && i < end; i++)
        {
            double share = Math.Min(end, i + 1.0) - Math.Max(start, i);
            if (share > 1e-3)
                found.Add((i, share / (end - start)));
        }
        return found;
    }
}
