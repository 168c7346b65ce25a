// What dcmjs, on which OHIF's reading of DICOM SEG rests, finds in a segmentation and its film.
// npm install dcmjs && node read_seg.js film.dcm film_seg.dcm
const fs = require("fs");
const dcmjs = require("dcmjs");

function read(path) {
    const bytes = fs.readFileSync(path);
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    return dcmjs.data.DicomMetaDictionary.naturalizeDataset(dcmjs.data.DicomMessage.readFile(buffer).dict);
}

const [film, seg] = process.argv.slice(2, 4).map(read);
const list = (value) => (Array.isArray(value) ? value : [value]);
const first = (value) => list(value)[0];
const frames = list(seg.PerFrameFunctionalGroupsSequence);
const size = seg.Rows * seg.Columns;
const pixels = dcmjs.data.BitArray.unpack(first(seg.PixelData)).subarray(0, size * frames.length);

console.log(`${seg.Columns} x ${seg.Rows} pixels, the film ${film.Columns} x ${film.Rows}; ${frames.length} frames`);
console.log(`same patient and study: ${film.PatientID === seg.PatientID && film.StudyInstanceUID === seg.StudyInstanceUID}`);
for (const segment of list(seg.SegmentSequence)) {
    const at = frames.findIndex((frame) =>
        first(frame.SegmentIdentificationSequence).ReferencedSegmentNumber === segment.SegmentNumber);
    const source = first(first(frames[at].DerivationImageSequence).SourceImageSequence);
    const rgb = dcmjs.data.Colors.dicomlab2RGB(segment.RecommendedDisplayCIELabValue).map((part) => Math.round(255 * part));
    const area = pixels.subarray(at * size, (at + 1) * size).reduce((sum, pixel) => sum + (pixel ? 1 : 0), 0);
    const code = first(segment.SegmentedPropertyTypeCodeSequence);
    console.log([segment.SegmentNumber, segment.SegmentLabel, `(${code.CodeValue}, ${code.CodingSchemeDesignator})`,
        `rgb ${rgb.join(" ")}`, `${area} pixels`,
        source.ReferencedSOPInstanceUID === film.SOPInstanceUID ? "of this film" : "of another film"].join(", "));
}
