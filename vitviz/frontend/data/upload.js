// Prepares a photograph for upload. Large ones are scaled down in the browser, because no model input needs a
// picture of 20 MB from a phone.

const QUALITIES = [0.92, 0.8, 0.6]; // JPEG qualities to try, until the file is small enough

// file: a File. limits: { bytes, side }: the size up to which a file is sent unchanged, and the longest side of
// a picture that is scaled.
// -> { name, data: base64, scaled: null or [width, height] of the original }
// Throws an Error whose message gives the reason.
export async function scaledUpload(file, limits) {
  const { blob, scaled } = await madeSmall(file, limits);
  return { name: file.name, data: await base64(blob), scaled };
}

// The same as a File for Streamlit's own upload control. Its name contains the size of the original.
export async function scaledFile(file, limits) {
  const { blob, scaled } = await madeSmall(file, limits);
  if (!scaled) return file;
  const name = `${file.name.replace(/\.[^.]*$/, "")} (${scaled.join("x")} pixels).jpg`;
  return new File([blob], name, { type: "image/jpeg" });
}

async function madeSmall(file, { bytes, side }) {
  let picture = null;
  try {
    picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    if (file.size > bytes) throw new Error("the browser cannot read it, and it is too large to send");
  }
  const large = picture && (file.size > bytes || Math.max(picture.width, picture.height) > 2 * side);
  if (!large) {
    picture?.close();
    return { blob: file, scaled: null };
  }
  const factor = Math.min(1, side / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.width, picture.height].map((length) => Math.max(1, Math.round(length * factor)));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#ffffff"; // JPEG has no transparency
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const scaled = [picture.width, picture.height];
  picture.close();
  for (const quality of QUALITIES) {
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
    if (blob && blob.size <= bytes) return { blob, scaled };
  }
  throw new Error("the browser could not make it small enough");
}

function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).split(",", 2)[1] ?? "");
    reader.onerror = () => reject(new Error("it could not be read"));
    reader.readAsDataURL(blob);
  });
}
